// Durations counted in bounded memory.
#ifndef PETIT_CLIENT_LOAD_HISTOGRAM_H_
#define PETIT_CLIENT_LOAD_HISTOGRAM_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace petit::load {

// Log-linear, as HdrHistogram's: each power of two is cut into 128 buckets of equal width. A quantile is off by at most
// 1/256 of itself (0.4 %), and by at most half a microsecond below 256 us. At most 36 KiB. Not thread-safe.
class Histogram {
 public:
  // Counts whole microseconds; below 0 is 0, above 2^40 us (12 days) is that.
  void Add(absl::Duration duration);
  void Merge(const Histogram& other);

  [[nodiscard]] std::int64_t count() const { return count_; }
  // Exact. Zero where nothing was counted.
  [[nodiscard]] absl::Duration Max() const { return absl::Microseconds(max_); }
  [[nodiscard]] absl::Duration Mean() const;
  // The ceil(share * count)-th smallest (nearest rank), `share` in (0, 1]. Zero where nothing was counted.
  [[nodiscard]] absl::Duration Quantile(double share) const;

  // Counts between edges that grow by 10^(1/20), from the one below the least to the one above the greatest;
  // edges.size() == counts.size() + 1, or both are empty.
  struct Bins {
    std::vector<double> edges = {};  // seconds
    std::vector<std::int64_t> counts = {};
  };
  [[nodiscard]] Bins LogBins() const;

 private:
  std::vector<std::int64_t> counts_;  // as long as the highest bucket in use
  std::int64_t count_ = 0;
  std::int64_t min_ = 0;  // microseconds
  std::int64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace petit::load

#endif  // PETIT_CLIENT_LOAD_HISTOGRAM_H_
