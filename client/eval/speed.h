// What timed passes say of a model's speed.
#ifndef PETIT_CLIENT_EVAL_SPEED_H_
#define PETIT_CLIENT_EVAL_SPEED_H_

#include <cstdint>
#include <vector>

#include "client/eval/records.h"

namespace petit::eval {

// Nearest rank, seconds; zeros for none.
struct Percentiles {
  double p50 = 0;
  double p95 = 0;
  double p99 = 0;
};

struct PassSpeed {
  double seconds = 0;
  double sentences_per_second = 0;
  double tokens_per_second = 0;  // generated
  Percentiles latency;
  Percentiles first_token;
  bool idle = false;
};

// Counts of latencies between edges that grow by a constant factor; counts.size() + 1 == edges.size().
struct LatencyHistogram {
  std::vector<double> edges;  // seconds
  std::vector<std::int64_t> counts;
};

struct Speed {
  std::vector<PassSpeed> passes;
  PassSpeed median;   // each figure's own; idle: all were
  double spread = 0;  // (longest - shortest) / median of the seconds
  LatencyHistogram histogram;
};

[[nodiscard]] Percentiles PercentilesOf(std::vector<float> seconds);

// `passes` must not be empty.
[[nodiscard]] Speed Summarize(const std::vector<TimedPass>& passes);

}  // namespace petit::eval

#endif  // PETIT_CLIENT_EVAL_SPEED_H_
