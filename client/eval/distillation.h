// The distillations of an experiment, through a server's JobService.
#ifndef PETIT_CLIENT_EVAL_DISTILLATION_H_
#define PETIT_CLIENT_EVAL_DISTILLATION_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/eval/experiment_spec.h"
#include "client/eval/pass.h"
#include "client/eval/results.h"
#include "client/lib/jobs.h"

namespace petit::eval {

// Creates the job under `request_id`, or finds the one that an earlier call created; waits until it has ended, keeping
// its events in `events_path` (JSON, one a line); publishes the students that the plan names. FAILED_PRECONDITION: the
// job failed or was cancelled. CANCELLED: interrupted; the job goes on.
[[nodiscard]] absl::StatusOr<JobResult> Distill(const DistillationPlan& plan, const client::JobClient& jobs,
                                                const std::string& request_id, const std::string& events_path,
                                                const Surroundings& surroundings);

}  // namespace petit::eval

#endif  // PETIT_CLIENT_EVAL_DISTILLATION_H_
