// An experiment's run: one folder that has everything, and that a second run of the same experiment goes on with.
//
//   DIR/experiment.textproto   the experiment, as it was given
//   DIR/results.json           petit.results/1
//   DIR/results.csv            a line for each model and set
//   DIR/manifest.json          versions, revision, hardware, and the data's digests
//   DIR/hypotheses/SET/MODEL.txt
//   DIR/jobs/NAME.jsonl        events of each distillation
//   DIR/log.txt
//   DIR/journal/               what has been done, for a run that goes on
#ifndef PETIT_CLIENT_EVAL_EXPERIMENT_H_
#define PETIT_CLIENT_EVAL_EXPERIMENT_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/eval/evaluation.h"
#include "client/eval/experiment_spec.h"
#include "client/eval/pass.h"
#include "client/lib/jobs.h"

namespace petit::eval {

struct ExperimentOptions {
  std::string directory;  // made where it is not there
  std::string command;    // what was typed
};

struct Connections {
  Evaluation::Connect models;
  std::function<absl::StatusOr<client::JobClient>(const std::string& server)> jobs;
};

// FAILED_PRECONDITION: the directory holds another experiment, or a distillation failed. Otherwise as Evaluation.
// Returns the text of results.json, which is written as well.
[[nodiscard]] absl::StatusOr<std::string> RunExperiment(const ExperimentPlan& plan, const ExperimentOptions& options,
                                                        const Connections& connections,
                                                        const Surroundings& surroundings);

// Writes a file whole or not at all. RESOURCE_EXHAUSTED: the disk is full.
[[nodiscard]] absl::Status WriteWhole(const std::string& path, const std::string& text);

}  // namespace petit::eval

#endif  // PETIT_CLIENT_EVAL_EXPERIMENT_H_
