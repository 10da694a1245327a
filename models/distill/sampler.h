// The order in which training sees its examples: a pure function of the seed, so that a run can go on anywhere.
#ifndef PETIT_MODELS_DISTILL_SAMPLER_H_
#define PETIT_MODELS_DISTILL_SAMPLER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace petit::distill {

class Sampler {
 public:
  struct Set {
    std::size_t size = 0;  // > 0
    double share = 0;      // > 0, relative to the other sets'
  };
  struct Pick {
    std::size_t set = 0;
    std::size_t index = 0;
  };

  Sampler(std::vector<Set> sets, std::uint64_t seed);

  // Sets take turns so that each one's part of the picks so far is never further than one pick from its share. Within a
  // set: a random order, a new one after each pass.
  Pick Next();

  // As if Next had been called `picks` times.
  void Skip(std::int64_t picks);

 private:
  struct State {
    double credit = 0;
    std::int64_t pass = -1;
    std::size_t next = 0;
    std::vector<std::uint32_t> order;
  };
  void Shuffle(std::size_t set);

  std::vector<Set> sets_;
  std::vector<State> states_;
  std::uint64_t seed_;
};

// Picks that make an epoch: as many as it takes to see each example of the sets that are not replay once, on average.
std::int64_t EpochPicks(const std::vector<Sampler::Set>& sets, const std::vector<bool>& replay);

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_SAMPLER_H_
