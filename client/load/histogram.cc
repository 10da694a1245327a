#include "client/load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace petit::load {
namespace {

constexpr int kBits = 7;
constexpr std::int64_t kPerOctave = std::int64_t{1} << kBits;
constexpr std::int64_t kLongest = std::int64_t{1} << 40;  // microseconds
constexpr double kBinsPerDecade = 20;

// Buckets below 2 * kPerOctave are a microsecond wide; then each octave is twice as coarse as the one before.
std::size_t BucketOf(std::int64_t microseconds) {
  if (microseconds < 2 * kPerOctave) return static_cast<std::size_t>(microseconds);
  const int shift = std::bit_width(static_cast<std::uint64_t>(microseconds)) - 1 - kBits;
  return static_cast<std::size_t>(shift * kPerOctave + (microseconds >> shift));
}

// The middle of a bucket.
std::int64_t ValueOf(std::size_t bucket) {
  const auto index = static_cast<std::int64_t>(bucket);
  if (index < 2 * kPerOctave) return index;
  const std::int64_t shift = index / kPerOctave - 1;
  const std::int64_t low = (index - shift * kPerOctave) << shift;
  return low + (std::int64_t{1} << shift) / 2;
}

int BinOf(std::int64_t microseconds) {
  return static_cast<int>(
      std::floor(std::log10(1e-6 * static_cast<double>(std::max<std::int64_t>(microseconds, 1))) * kBinsPerDecade));
}

}  // namespace

void Histogram::Add(absl::Duration duration) {
  const std::int64_t value = std::clamp<std::int64_t>(absl::ToInt64Microseconds(duration), 0, kLongest);
  const std::size_t bucket = BucketOf(value);
  if (bucket >= counts_.size()) counts_.resize(bucket + 1);
  ++counts_[bucket];
  min_ = count_ == 0 ? value : std::min(min_, value);
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(value);
  ++count_;
}

void Histogram::Merge(const Histogram& other) {
  if (other.count_ == 0) return;
  if (other.counts_.size() > counts_.size()) counts_.resize(other.counts_.size());
  for (std::size_t i = 0; i < other.counts_.size(); ++i) counts_[i] += other.counts_[i];
  min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
  count_ += other.count_;
}

absl::Duration Histogram::Mean() const {
  return count_ == 0 ? absl::ZeroDuration() : absl::Microseconds(sum_ / static_cast<double>(count_));
}

absl::Duration Histogram::Quantile(double share) const {
  if (count_ == 0) return absl::ZeroDuration();
  const auto rank =
      std::clamp<std::int64_t>(static_cast<std::int64_t>(std::ceil(share * static_cast<double>(count_))), 1, count_);
  std::int64_t seen = 0;
  for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) {
    seen += counts_[bucket];
    if (seen >= rank) return absl::Microseconds(std::clamp(ValueOf(bucket), min_, max_));
  }
  return Max();
}

Histogram::Bins Histogram::LogBins() const {
  Bins bins;
  if (count_ == 0) return bins;
  const int first = BinOf(min_);
  const int last = BinOf(max_);
  bins.counts.resize(static_cast<std::size_t>(last - first) + 1);
  for (int bin = first; bin <= last + 1; ++bin) bins.edges.push_back(std::pow(10.0, bin / kBinsPerDecade));
  for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) {
    if (counts_[bucket] == 0) continue;
    bins.counts[static_cast<std::size_t>(BinOf(std::clamp(ValueOf(bucket), min_, max_)) - first)] += counts_[bucket];
  }
  return bins;
}

}  // namespace petit::load
