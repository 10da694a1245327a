#include "models/distill/sampler.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "models/distill/functions.h"

namespace petit::distill {

Sampler::Sampler(std::vector<Set> sets, std::uint64_t seed)
    : sets_(std::move(sets)), states_(sets_.size()), seed_(seed) {
  double total = 0;
  for (const Set& set : sets_) total += set.share;
  for (Set& set : sets_) set.share /= total;
}

Sampler::Pick Sampler::Next() {
  std::size_t chosen = 0;
  for (std::size_t i = 0; i < sets_.size(); ++i) {
    states_[i].credit += sets_[i].share;
    if (states_[i].credit > states_[chosen].credit) chosen = i;
  }
  State& state = states_[chosen];
  state.credit -= 1;
  if (state.pass < 0 || state.next == sets_[chosen].size) Shuffle(chosen);
  return {chosen, state.order[state.next++]};
}

void Sampler::Skip(std::int64_t picks) {
  for (std::int64_t i = 0; i < picks; ++i) Next();
}

void Sampler::Shuffle(std::size_t set) {
  State& state = states_[set];
  ++state.pass;
  state.next = 0;
  state.order.resize(sets_[set].size);
  std::iota(state.order.begin(), state.order.end(), 0U);
  const std::uint64_t key = MixBits(MixBits(seed_, set), static_cast<std::uint64_t>(state.pass));
  for (std::size_t i = state.order.size(); i > 1; --i) {
    // Fisher and Yates; the bias of the modulus is below size / 2^64.
    std::swap(state.order[i - 1], state.order[MixBits(key, i) % i]);
  }
}

std::int64_t EpochPicks(const std::vector<Sampler::Set>& sets, const std::vector<bool>& replay) {
  double total = 0;
  double own = 0;
  double size = 0;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    total += sets[i].share;
    if (replay[i]) continue;
    own += sets[i].share;
    size += static_cast<double>(sets[i].size);
  }
  if (own == 0) {  // replay alone: all of it
    own = total;
    for (const Sampler::Set& set : sets) size += static_cast<double>(set.size);
  }
  return std::llround(std::ceil(size * total / own));
}

}  // namespace petit::distill
