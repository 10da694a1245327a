// Measures one model on one set.
#ifndef PETIT_CLIENT_CLI_EVAL_MODEL_H_
#define PETIT_CLIENT_CLI_EVAL_MODEL_H_

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/command.h"
#include "client/cli/eval_set.h"
#include "client/cli/quality.h"
#include "client/lib/client.h"

namespace petit::cli {

struct EvalFailure {
  std::int64_t line = 0;
  absl::Status status;
};

// Of the times from the sending of a text to its answer, as the client saw them; nearest rank.
struct Latency {
  double p50_s = 0;
  double p95_s = 0;
  double p99_s = 0;
};

struct ModelReport {
  std::string model;
  std::int64_t version = 0;
  client::ModelVersion served;   // as the server described it before the run
  bool version_changed = false;  // results came from more than one version

  Quality quality;
  std::int64_t pairs = 0;
  std::vector<EvalFailure> failures;  // in the order of the lines; they count as empty hypotheses
  std::int64_t empty = 0;             // translations that were empty
  std::int64_t cut = 0;               // at the length limit
  std::int64_t source_tokens = 0;
  std::int64_t unknown_source_tokens = 0;
  std::int64_t target_tokens = 0;

  double seconds = 0;  // from the first text to the last answer
  Latency latency;

  // KL(reference model || this model), mean over the references' tokens, in nats.
  std::optional<double> kl;
  std::int64_t kl_tokens = 0;
  std::string kl_problem;  // why there is none
};

struct EvalRun {
  EvalFiles files;
  std::int64_t pairs = 0;
  client::TranslateOptions options;  // the model's name in it
  int concurrency = 32;
  bool show_progress = false;
};

// Streams the set through the model. Each hypothesis goes to `hypotheses` (may be null), one a line. Failed texts are
// named on `io.err`. An error: the run as a whole failed.
absl::Status EvaluateModel(const client::Client& client, const EvalRun& run, Io& io, std::ostream* hypotheses,
                           ModelReport& report);

// Adds KL(reference || model) to the report. Where the two cannot be compared, the report says why, and the status is
// OK.
absl::Status MeasureKl(const client::Client& client, const EvalRun& run, const std::string& reference, Io& io,
                       ModelReport& report);

// Of unsorted times; zeros for none.
Latency Percentiles(std::vector<double> seconds);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_EVAL_MODEL_H_
