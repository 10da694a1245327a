// Starts and stops the worker processes of jobs. Two kinds: child processes, and Slurm.
#ifndef PETIT_SERVER_JOBS_LAUNCHER_H_
#define PETIT_SERVER_JOBS_LAUNCHER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/config/settings.h"

namespace petit::serving {

// One start of a job's worker. (job_id, attempt) names it for good.
struct Launch {
  std::string job_id;
  int attempt = 0;
  std::string job_directory;           // absolute
  std::string attempt_directory;       // exists; worker.log and lock go there
  std::vector<std::string> arguments;  // of the worker: --task FILE --attempt N
  int threads = 1;
  std::int64_t memory_bytes = 0;  // 0: no limit
  int tasks = 1;
  std::string device;
};

enum class WorkerState {
  kNotStarted,  // never was, as far as anybody can tell
  kPending,     // waits for a machine (Slurm)
  kRunning,
  kEnded,
};

struct WorkerReport {
  WorkerState state = WorkerState::kNotStarted;
  std::string reason;        // of kEnded where known: "exit status 1", "killed by signal 9", "out of memory"
  bool lost_memory = false;  // killed for using more memory than it may
};

// Every method may block for a moment (Slurm's commands) and is called by one thread. Attempts are found again by a new
// Launcher over the same directories: by the lock in the attempt's directory (LOCAL) or the Slurm job's name (SLURM),
// never by a process number alone.
class Launcher {
 public:
  virtual ~Launcher() = default;

  // At most once per attempt. When it fails, or the server dies meanwhile, Poll tells whether the worker runs.
  // RESOURCE_EXHAUSTED, UNAVAILABLE: may be tried again, as another attempt.
  virtual absl::Status Start(const Launch& launch) = 0;

  // What has become of it.
  virtual absl::StatusOr<WorkerReport> Poll(const Launch& launch) = 0;

  // SIGTERM to all of the worker's processes; SIGKILL with `kill`. OK where there are none any more.
  virtual absl::Status Stop(const Launch& launch, bool kill) = 0;
};

// Child processes: posix_spawn, a process group of their own, no inherited descriptor but the attempt's lock, which the
// server takes before it starts the worker and the worker's life holds: so nobody can start an attempt twice, and a new
// server sees at once whether an old one's worker lives. Limits: address space is left alone; resident memory is
// watched through RLIMIT_DATA; OMP_NUM_THREADS; niceness.
std::unique_ptr<Launcher> MakeLocalLauncher(const JobsSettings& settings);

// sbatch, squeue, sacct-free: `squeue` and `scontrol show job` for live ones; what neither knows has ended. The Slurm
// job is named petit-JOB-ATTEMPT. Commands are argument vectors, never shell strings; the batch script is our own,
// fixed text that runs `srun petit-worker "$@"`.
std::unique_ptr<Launcher> MakeSlurmLauncher(const JobsSettings& settings);

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_LAUNCHER_H_
