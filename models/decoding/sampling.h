// Sampling of one token. std only.
#ifndef PETIT_MODELS_DECODING_SAMPLING_H_
#define PETIT_MODELS_DECODING_SAMPLING_H_

#include <cstdint>
#include <span>
#include <vector>

#include "models/decoding/options.h"
#include "models/decoding/step.h"

namespace petit::decoding {

// A number in [0, 1) that depends on its arguments alone: a counter-based generator without state, so that a
// sample is the same in every company. Each argument is mixed in by SplitMix64's finalizer (Steele, Lea and Flood,
// "Fast Splittable Pseudorandom Number Generators", 2014).
double UniformDraw(std::uint64_t seed, std::uint64_t sequence_index, std::uint64_t sample, std::uint64_t step);

// Temperature, then top-k, then top-p, as Hugging Face's warpers: ties with the k-th best stay; top-p keeps the
// most probable ids until what they hold before the next one reaches top_p, one at least.
class Sampler {
 public:
  struct Kept {
    TokenId id = 0;
    float log_prob = 0;  // as it came, before temperature
    float weight = 0;    // probability after the filters, up to a common factor; > 0
  };

  explicit Sampler(const DecodingOptions& options);

  // What a row must ask for.
  int num_best() const;
  bool full_row() const { return top_k_ == 0; }

  // The ids that may be drawn, ascending; never empty. Valid until the next call.
  std::span<const Kept> Filter(const RowResult& row);

  // Draws one of them; `uniform` in [0, 1).
  Candidate Draw(const RowResult& row, double uniform);

 private:
  // `sorted`: kept_ is in descending order already.
  void KeepTopP(bool sorted);

  float temperature_;
  int top_k_;
  float top_p_;
  std::vector<Kept> kept_;  // reused from call to call
};

}  // namespace petit::decoding

#endif  // PETIT_MODELS_DECODING_SAMPLING_H_
