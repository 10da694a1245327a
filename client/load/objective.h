// Service-level objectives: what is asked of the answers.
#ifndef PETIT_CLIENT_LOAD_OBJECTIVE_H_
#define PETIT_CLIENT_LOAD_OBJECTIVE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace petit::load {

// "p99=500ms": at least 99 % of all texts are answered well within 500 ms. A text that failed was not.
struct LatencyTerm {
  double percentile = 0;  // 99
  absl::Duration limit = {};
};

struct Objective {
  std::vector<LatencyTerm> latencies = {};    // by percentile
  std::optional<double> max_error_rate = {};  // share of all texts

  [[nodiscard]] bool empty() const { return latencies.empty() && !max_error_rate; }
  // Within which an answer is good: the limit of the highest percentile. Infinite where no latency is limited.
  [[nodiscard]] absl::Duration GoodWithin() const;
};

// Adds "p99=500ms", "p99.9=1s,error-rate=1%" to `objective`. INVALID_ARGUMENT says what is wrong, and what is wanted.
[[nodiscard]] absl::Status AddTerms(std::string_view text, Objective& objective);

// "500ms", "1.5s", "1m30s", or a number of seconds; not below 0. INVALID_ARGUMENT otherwise.
[[nodiscard]] absl::StatusOr<absl::Duration> ParseDuration(std::string_view text);

// What the objective is held against: all texts of a phase that counted.
struct Answered {
  std::int64_t texts = 0;
  std::int64_t failed = 0;
  std::vector<std::int64_t> within = {};  // of each latency term: answered well within its limit
};

struct Verdict {
  std::string term = {};  // "p99=500ms"
  bool holds = false;
  std::string why = {};  // "97.31 % of 1,204 texts were answered within 500ms"
};

// One for each term: the latencies first. Without any text none holds.
[[nodiscard]] std::vector<Verdict> Judge(const Objective& objective, const Answered& answered);
[[nodiscard]] bool AllHold(const std::vector<Verdict>& verdicts);

}  // namespace petit::load

#endif  // PETIT_CLIENT_LOAD_OBJECTIVE_H_
