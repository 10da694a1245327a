// An experiment's file, petit/experiment/v1/experiment.proto, checked and completed.
#ifndef PETIT_CLIENT_EVAL_EXPERIMENT_SPEC_H_
#define PETIT_CLIENT_EVAL_EXPERIMENT_SPEC_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "client/eval/plan.h"
#include "petit/experiment/v1/experiment.pb.h"
#include "petit/v1/job.pb.h"

namespace petit::eval {

struct DistillationPlan {
  std::string name;
  std::string server;
  petit::v1::JobSpec spec;
  std::vector<std::pair<std::string, std::string>> publish;  // arm, model
};

struct ExperimentPlan {
  std::string text;  // of the file
  std::vector<DistillationPlan> distillations;
  Plan evaluation;  // without directory and command
};

// INVALID_ARGUMENT: every error found, "FILE:LINE:COLUMN: what is wrong" or "FILE: field: what would be right", one a
// line. `default_server` is for all that name none.
[[nodiscard]] absl::StatusOr<ExperimentPlan> ReadExperiment(const std::string& path, const std::string& default_server);

// Makes a trial of an experiment, which touches everything and takes minutes: a few pairs of each set, a few steps of
// each distillation, short outputs, one timed pass. Its results are marked so.
void ShortenForTrial(ExperimentPlan& plan);

}  // namespace petit::eval

#endif  // PETIT_CLIENT_EVAL_EXPERIMENT_SPEC_H_
