// What `petit eval` and `petit experiment` share: their surroundings on a terminal, and the end of a run.
#ifndef PETIT_CLIENT_CLI_EVAL_RUN_H_
#define PETIT_CLIENT_CLI_EVAL_RUN_H_

#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "client/cli/command.h"
#include "client/cli/progress.h"
#include "client/eval/evaluation.h"
#include "client/eval/pass.h"
#include "client/report/results.h"

namespace petit::cli {

// Draws what an evaluation tells, on standard error. Outlives the surroundings that it gives.
class EvalDisplay {
 public:
  EvalDisplay(Io& io, bool quiet) : io_(io), quiet_(quiet) {}

  eval::Surroundings Surroundings();

 private:
  void Note(const std::string& line);
  void Update(const std::string& what, std::int64_t done, std::int64_t total);

  Io& io_;
  const bool quiet_;
  std::mutex mutex_;
  std::string what_;
  std::unique_ptr<Progress> progress_;
};

// The exit code of a run that failed. Says where a run that was interrupted goes on from.
int FailEvaluation(const Io& io, const absl::Status& status, const std::string& kept_in);

// kExitTextsFailed where some sentence failed.
int CodeFor(const report::Results& results);

// Where results are kept unless asked otherwise: $XDG_CACHE_HOME/petit/NAME, or below ~/.cache.
std::string CacheDirectory(const std::string& name);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_EVAL_RUN_H_
