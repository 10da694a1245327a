#include "models/decoding/sampling.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace petit::decoding {
namespace {

// Ids asked for beyond the k best, to see ties with the k-th; of more ties than that the lowest ids stay.
constexpr int kTieSlack = 14;
// Above this nobody's vocabulary has more ids to give.
constexpr int kMostIds = 1 << 30;

std::uint64_t Mix(std::uint64_t state, std::uint64_t value) {
  std::uint64_t z = (state ^ value) + 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// Descending weight, equal ones by ascending id.
bool Heavier(const Sampler::Kept& a, const Sampler::Kept& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
}

}  // namespace

double UniformDraw(std::uint64_t seed, std::uint64_t sequence_index, std::uint64_t sample, std::uint64_t step) {
  const std::uint64_t bits = Mix(Mix(Mix(Mix(0, seed), sequence_index), sample), step);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

Sampler::Sampler(const DecodingOptions& options)
    : temperature_(options.temperature), top_k_(std::min(options.top_k, kMostIds)), top_p_(options.top_p) {}

int Sampler::num_best() const { return full_row() ? 1 : top_k_ + kTieSlack; }

std::span<const Sampler::Kept> Sampler::Filter(const RowResult& row) {
  kept_.clear();
  const float highest = row.best.front().log_prob;
  if (!(highest > kNegInf)) {  // everything is banned: the answer is greedy search's
    kept_.push_back({row.best.front().id, highest, 1});
    return kept_;
  }
  // The highest is subtracted first, so that no temperature can overflow.
  const auto weight = [&](float log_prob) { return std::exp(std::min(log_prob - highest, 0.0f) / temperature_); };

  if (full_row()) {
    for (std::size_t id = 0; id < row.full_row.size(); ++id) {
      const float log_prob = row.full_row[id];
      const float w = weight(log_prob);
      if (w > 0) kept_.push_back({static_cast<TokenId>(id), log_prob, w});
    }
    if (top_p_ == 1) return kept_;  // already by id
    KeepTopP(/*sorted=*/false);
  } else {
    const std::size_t k = std::min(row.best.size(), static_cast<std::size_t>(top_k_));
    const float threshold = row.best[k - 1].log_prob;
    for (const Candidate& candidate : row.best) {
      if (candidate.log_prob < threshold) break;
      const float w = weight(candidate.log_prob);
      if (w > 0) kept_.push_back({candidate.id, candidate.log_prob, w});
    }
    if (top_p_ < 1) KeepTopP(/*sorted=*/true);
  }
  std::sort(kept_.begin(), kept_.end(), [](const Kept& a, const Kept& b) { return a.id < b.id; });
  return kept_;
}

void Sampler::KeepTopP(bool sorted) {
  double total = 0;
  for (const Kept& kept : kept_) total += kept.weight;
  // A heap, because of a whole vocabulary seldom more than a few hundred ids are needed in order.
  const auto lighter = [](const Kept& a, const Kept& b) { return Heavier(b, a); };
  if (!sorted) std::make_heap(kept_.begin(), kept_.end(), lighter);
  double before = 0;
  std::size_t count = 0;
  const std::size_t size = kept_.size();
  while (count < size && before < top_p_ * total) {
    if (!sorted) {
      std::pop_heap(kept_.begin(), kept_.end() - count, lighter);
      before += kept_[size - 1 - count].weight;
    } else {
      before += kept_[count].weight;
    }
    ++count;
  }
  // pop_heap gathers the heaviest at the end.
  if (sorted) {
    kept_.resize(count);
  } else {
    kept_.erase(kept_.begin(), kept_.end() - count);
  }
}

Candidate Sampler::Draw(const RowResult& row, double uniform) {
  const std::span<const Kept> kept = Filter(row);
  double total = 0;
  for (const Kept& k : kept) total += k.weight;
  // Walking by id, not by rank: rounding that swaps two near-equal ids hardly moves the walk.
  const double target = uniform * total;
  double sum = 0;
  for (const Kept& k : kept) {
    sum += k.weight;
    if (target < sum) return {k.id, k.log_prob};
  }
  return {kept.back().id, kept.back().log_prob};
}

}  // namespace petit::decoding
