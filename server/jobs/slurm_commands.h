// Slurm through its commands: what is asked of them and how their answers are read.
#ifndef PETIT_SERVER_JOBS_SLURM_COMMANDS_H_
#define PETIT_SERVER_JOBS_SLURM_COMMANDS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/jobs/launcher.h"

namespace petit::serving {

// One line of squeue.
struct SlurmJob {
  std::string id;
  std::string state;   // "RUNNING"
  std::string reason;  // why it waits
  std::string directory;
};

// UNAVAILABLE throughout: Slurm does not answer. FAILED_PRECONDITION: its commands are not installed.

// Returns the job's number. RESOURCE_EXHAUSTED: a limit on submitted jobs. FAILED_PRECONDITION: sbatch refuses; the
// message is sbatch's.
absl::StatusOr<std::string> SlurmSubmit(const std::vector<std::string>& arguments);

// This user's jobs of that name, those that have ended and are still remembered among them.
absl::StatusOr<std::vector<SlurmJob>> SlurmJobsNamed(const std::string& name);

// The steps that srun has started in a job ("17.0"); not the script's own.
absl::StatusOr<std::vector<std::string>> SlurmSteps(const std::string& id);

// "0:9": exit status and signal of an ended job's script; empty where Slurm has forgotten it.
absl::StatusOr<std::string> SlurmExitCode(const std::string& id);

// Signals all processes of a step, at once. (Sent to the whole job, SIGKILL would wait for KillWait after a SIGTERM,
// and SIGTERM with --full would make srun kill the step.)
absl::Status SlurmSignal(const std::string& step, absl::string_view signal);

// Ends a job in whatever state: SIGTERM, and SIGKILL after KillWait.
absl::Status SlurmCancel(const std::string& id);

// Of the states that squeue prints. One that is not known here counts as running.
WorkerState SlurmWorkerState(absl::string_view state);

// The report of a job that has ended. `log_tail`: the end of its output, where Slurm without cgroups says that it
// killed it for memory.
WorkerReport SlurmEndReport(absl::string_view state, absl::string_view exit_code, absl::string_view log_tail);

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_SLURM_COMMANDS_H_
