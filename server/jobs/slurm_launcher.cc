#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/jobs/launch_check.h"
#include "server/jobs/launcher.h"
#include "server/jobs/process.h"
#include "server/jobs/slurm_commands.h"

namespace petit::serving {
namespace {

constexpr std::int64_t kMebibyte = std::int64_t{1} << 20;
constexpr std::streamoff kLogTailBytes = 4096;

// The arguments are the worker and its own. Since Slurm 22.05 srun does not take sbatch's --cpus-per-task over.
constexpr char kBatchScript[] = R"sh(#!/bin/sh
if ! [ -x "$1" ]; then
  printf 'petit: no worker that can be executed at %s on %s\n' "$1" "$(uname -n)" >&2
  exit 127
fi
export OMP_NUM_THREADS="$SLURM_CPUS_PER_TASK"
exec srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=1 --input=none "$@"
)sh";

// The end of a file; nothing where it is not there.
std::string ReadTail(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return "";
  file.seekg(std::max(std::streamoff{0}, static_cast<std::streamoff>(file.tellg()) - kLogTailBytes));
  return {std::istreambuf_iterator<char>(file), {}};
}

class SlurmLauncher : public Launcher {
 public:
  explicit SlurmLauncher(const JobsSettings& settings) : worker_(settings.worker), options_(settings.slurm_options) {}
  absl::Status Start(const Launch& launch) override;
  absl::StatusOr<WorkerReport> Poll(const Launch& launch) override;
  absl::Status Stop(const Launch& launch, bool kill) override;

 private:
  // The attempt's Slurm job, where Slurm knows it.
  static absl::StatusOr<std::optional<SlurmJob>> Find(const Launch& launch);

  const std::string worker_;
  const std::vector<std::string> options_;
};

std::string JobName(const Launch& launch) { return absl::StrCat("petit-", launch.job_id, "-", launch.attempt); }

// The number that sbatch gave; empty where it is not known.
std::string ReadJobId(const Launch& launch) {
  return std::string(absl::StripAsciiWhitespace(ReadTail(AttemptFile(launch, "slurm_job_id"))));
}

std::vector<std::string> MemoryOptions(const Launch& launch) {
  if (launch.memory_bytes == 0) return {};
  const auto mebibytes = [](std::int64_t bytes, std::int64_t parts) {
    return absl::StrCat((bytes + kMebibyte * parts - 1) / (kMebibyte * parts), "M");
  };
  // --mem is a node's; how many tasks share one is Slurm's choice.
  if (launch.tasks == 1) return {absl::StrCat("--mem=", mebibytes(launch.memory_bytes, 1))};
  return {absl::StrCat("--mem-per-cpu=", mebibytes(launch.memory_bytes, launch.threads))};
}

absl::Status SlurmLauncher::Start(const Launch& launch) {
  if (auto status = CheckLaunch(launch); !status.ok()) return status;
  // The script also marks the attempt as used.
  const std::string script_path = AttemptFile(launch, "slurm.sh");
  const Descriptor script = OpenFile(script_path, O_WRONLY | O_CREAT | O_EXCL);
  if (!script.valid()) {
    if (errno != EEXIST) return absl::FailedPreconditionError(ErrnoMessage(errno, script_path, "cannot be made"));
    return absl::AlreadyExistsError(absl::StrCat(DescribeLaunch(launch), " was started before: \"", script_path,
                                                 "\" exists; an attempt is started at most once"));
  }
  if (auto status = WriteFileAtOnce(script_path, kBatchScript); !status.ok()) return status;

  // An attempt runs once: what a node's failure or a preemption ends is tried again as another attempt, and Slurm must
  // not do so too.
  // A '%' in the name of an output file stands for something.
  const std::string log_path = absl::StrReplaceAll(AttemptFile(launch, "worker.log"), {{"%", "%%"}});
  std::vector<std::string> arguments = {"--parsable",
                                        absl::StrCat("--job-name=", JobName(launch)),
                                        absl::StrCat("--ntasks=", launch.tasks),
                                        absl::StrCat("--cpus-per-task=", launch.threads),
                                        absl::StrCat("--chdir=", launch.attempt_directory),
                                        "--input=/dev/null",
                                        absl::StrCat("--output=", log_path),
                                        "--open-mode=append",
                                        "--no-requeue"};
  for (std::string& option : MemoryOptions(launch)) arguments.push_back(std::move(option));
  arguments.insert(arguments.end(), options_.begin(), options_.end());
  arguments.push_back(script_path);
  arguments.push_back(worker_);
  arguments.insert(arguments.end(), launch.arguments.begin(), launch.arguments.end());
  const absl::StatusOr<std::string> id = SlurmSubmit(arguments);
  if (!id.ok()) return id.status();
  return WriteFileAtOnce(AttemptFile(launch, "slurm_job_id"), absl::StrCat(*id, "\n"));
}

absl::StatusOr<std::optional<SlurmJob>> SlurmLauncher::Find(const Launch& launch) {
  const absl::StatusOr<std::vector<SlurmJob>> jobs = SlurmJobsNamed(JobName(launch));
  if (!jobs.ok()) return jobs.status();
  const std::string id = ReadJobId(launch);
  for (const SlurmJob& job : *jobs) {
    // Another server of this user may have a job of that name.
    std::error_code error;
    const bool ours =
        id.empty() ? std::filesystem::equivalent(job.directory, launch.attempt_directory, error) : job.id == id;
    if (!ours) continue;
    if (id.empty()) {  // submitted by a server that did not live to write it down
      if (auto status = WriteFileAtOnce(AttemptFile(launch, "slurm_job_id"), absl::StrCat(job.id, "\n"));
          !status.ok()) {
        return status;
      }
    }
    return job;
  }
  return std::nullopt;
}

absl::StatusOr<WorkerReport> SlurmLauncher::Poll(const Launch& launch) {
  if (auto status = CheckLaunch(launch); !status.ok()) return status;
  const absl::StatusOr<std::optional<SlurmJob>> found = Find(launch);
  if (!found.ok()) return found.status();
  const std::string log_path = AttemptFile(launch, "worker.log");
  WorkerReport report;
  if (!found->has_value()) {
    std::error_code error;
    const bool was = !ReadJobId(launch).empty() || std::filesystem::exists(log_path, error);
    report.state = was ? WorkerState::kEnded : WorkerState::kNotStarted;
    return report;
  }
  const SlurmJob& job = **found;
  report.state = SlurmWorkerState(job.state);
  if (report.state == WorkerState::kPending && job.reason != "None") report.reason = job.reason;
  if (report.state != WorkerState::kEnded) return report;
  const absl::StatusOr<std::string> exit_code = SlurmExitCode(job.id);
  if (!exit_code.ok()) return exit_code.status();
  return SlurmEndReport(job.state, *exit_code, ReadTail(log_path));
}

absl::Status SlurmLauncher::Stop(const Launch& launch, bool kill) {
  if (auto status = CheckLaunch(launch); !status.ok()) return status;
  const absl::StatusOr<std::optional<SlurmJob>> found = Find(launch);
  if (!found.ok()) return found.status();
  if (!found->has_value()) return absl::OkStatus();
  const SlurmJob& job = **found;
  const WorkerState state = SlurmWorkerState(job.state);
  if (state == WorkerState::kEnded) return absl::OkStatus();
  std::vector<std::string> steps;
  if (state == WorkerState::kRunning) {
    absl::StatusOr<std::vector<std::string>> listed = SlurmSteps(job.id);
    if (!listed.ok()) return listed.status();
    steps = *std::move(listed);
  }
  for (const std::string& step : steps) {
    if (auto status = SlurmSignal(step, kill ? "KILL" : "TERM"); !status.ok()) return status;
  }
  // Where there is no worker yet nothing can be lost by cancelling, and nobody would hear the signal. After SIGKILL it
  // ends what else there is.
  return kill || steps.empty() ? SlurmCancel(job.id) : absl::OkStatus();
}

}  // namespace

std::unique_ptr<Launcher> MakeSlurmLauncher(const JobsSettings& settings) {
  return std::make_unique<SlurmLauncher>(settings);
}

}  // namespace petit::serving
