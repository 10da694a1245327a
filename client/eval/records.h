// What the journals of an evaluation hold.
#ifndef PETIT_CLIENT_EVAL_RECORDS_H_
#define PETIT_CLIENT_EVAL_RECORDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/lib/client.h"

namespace petit::eval {

// One model's answer to one text.
struct Hypothesis {
  absl::Status status;     // why there is no translation
  std::string text = {};   // on one line; empty where there is none
  bool truncated = false;  // stopped at the length limit
  std::int64_t source_tokens = 0;
  std::int64_t unknown_source_tokens = 0;
  std::int64_t target_tokens = 0;
};

// Sums over one reference's tokens, end of sentence included.
struct Likelihood {
  absl::Status status;  // why it was not scored
  std::int64_t tokens = 0;
  double nats = 0;        // -log p of the reference
  double divergence = 0;  // KL(teacher || model), nats; 0 for the teacher itself
};

// One timed pass of a model over a set. Seconds.
struct TimedPass {
  double seconds = 0;  // from the first text to the last answer
  std::int64_t texts = 0;
  std::int64_t target_tokens = 0;
  std::vector<float> latencies = {};     // of each text, from its sending to its answer, as the client saw it
  std::vector<float> first_tokens = {};  // of each text, from its arrival at the server to its first token
  bool idle = false;                     // the server had nothing else to do
};

Hypothesis ToHypothesis(const client::TextResult& result);

// A failure that another try would meet again: the text's fault, not the server's.
[[nodiscard]] bool IsPermanent(const absl::Status& status);

// JSON on one line, and back. DATA_LOSS: not such a record.
std::string Format(const Hypothesis& hypothesis);
std::string Format(const Likelihood& likelihood);
std::string Format(const TimedPass& pass);
[[nodiscard]] absl::StatusOr<Hypothesis> ParseHypothesis(const std::string& record);
[[nodiscard]] absl::StatusOr<Likelihood> ParseLikelihood(const std::string& record);
[[nodiscard]] absl::StatusOr<TimedPass> ParseTimedPass(const std::string& record);

}  // namespace petit::eval

#endif  // PETIT_CLIENT_EVAL_RECORDS_H_
