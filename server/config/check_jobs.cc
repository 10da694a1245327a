#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/config/checks.h"
#include "server/config/device.h"

namespace petit::serving {
namespace {

using config::v1::JobsConfig;

constexpr int kMaxCount = 1 << 20;
constexpr double kMaxSeconds = 86400;
constexpr std::int64_t kLeastMemory = std::int64_t{64} << 20;
constexpr std::int64_t kMostMemory = std::int64_t{1} << 50;
constexpr char kWorkerName[] = "petit-worker";

int Cores() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

std::string Quoted(absl::string_view text) { return absl::StrCat("\"", text, "\""); }

void CheckDirectories(const JobsConfig& jobs, const Located& at, const std::string& base_directory,
                      JobsSettings* settings) {
  std::error_code error;
  if (jobs.root().empty()) {
    at.Complain("jobs has no root; give the directory of the job store: root: \"jobs\"");
  } else {
    settings->root = ResolvePath(base_directory, jobs.root());
    if (std::filesystem::exists(settings->root, error) && !std::filesystem::is_directory(settings->root, error)) {
      at.ComplainAbout(
          JobsConfig::kRootFieldNumber,
          absl::StrCat("root ", Quoted(settings->root), " is not a directory; name one, or one that can be created"));
    }
  }
  if (jobs.data_root().empty()) {
    at.Complain("jobs has no data_root; give the directory that training data lies below: data_root: \"data\"");
    return;
  }
  const std::string data_root = ResolvePath(base_directory, jobs.data_root());
  settings->data_root = std::filesystem::canonical(data_root, error).string();
  if (error || !std::filesystem::is_directory(settings->data_root, error)) {
    at.ComplainAbout(JobsConfig::kDataRootFieldNumber,
                     absl::StrCat("data_root ", Quoted(data_root),
                                  " is not a directory; create it, or name the one that training data lies below "
                                  "(relative paths begin at the configuration file's directory)"));
  } else if (settings->data_root == "/") {
    at.ComplainAbout(JobsConfig::kDataRootFieldNumber,
                     "data_root is the root of the file system, so that jobs could read every file; name the directory "
                     "of the training data");
  }
}

// The worker beside this program, or "" where the system does not say which program this is.
std::string WorkerBesideServer() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "" : (self.parent_path() / kWorkerName).string();
}

void CheckWorker(const JobsConfig& jobs, const Located& at, const std::string& base_directory, JobsSettings* settings) {
  settings->worker = jobs.worker().empty() ? WorkerBesideServer() : ResolvePath(base_directory, jobs.worker());
  if (settings->launcher == LauncherKind::kSlurm) return;  // it must be on the nodes, not here
  std::error_code error;
  if (std::filesystem::is_regular_file(settings->worker, error) && access(settings->worker.c_str(), X_OK) == 0) return;
  at.ComplainAbout(JobsConfig::kWorkerFieldNumber,
                   absl::StrCat("worker ", Quoted(settings->worker),
                                " is not a program that can be run; build or install petit-worker beside petit-server, "
                                "or name it: worker: \"/usr/bin/petit-worker\""));
}

// By these the server finds its jobs again; a site's option of that name would hide them.
bool IsOurs(absl::string_view option) {
  for (const absl::string_view ours : {"--job-name", "--array", "--wrap", "--parsable", "--output", "--error"}) {
    if (option == ours || absl::StartsWith(option, absl::StrCat(ours, "="))) return true;
  }
  return false;
}

void CheckLauncher(const JobsConfig& jobs, const Located& at, JobsSettings* settings) {
  constexpr int kField = JobsConfig::kSlurmOptionFieldNumber;
  switch (jobs.launcher()) {
    case JobsConfig::LAUNCHER_UNSPECIFIED:
    case JobsConfig::LOCAL:
      settings->launcher = LauncherKind::kLocal;
      break;
    case JobsConfig::SLURM:
      settings->launcher = LauncherKind::kSlurm;
      break;
    default:
      at.ComplainAbout(JobsConfig::kLauncherFieldNumber,
                       absl::StrCat("launcher ", static_cast<int>(jobs.launcher()), " is unknown; use LOCAL or SLURM"));
  }
  if (settings->launcher == LauncherKind::kLocal && !jobs.slurm_option().empty()) {
    at.ComplainAbout(kField, "slurm_option is for launcher: SLURM; remove it, or choose that launcher");
  }
  for (int i = 0; i < jobs.slurm_option_size(); ++i) {
    const std::string& option = jobs.slurm_option(i);
    const bool control = std::any_of(option.begin(), option.end(), absl::ascii_iscntrl);
    if (option.size() < 3 || !absl::StartsWith(option, "--") || control) {
      at.ComplainAbout(kField, i,
                       absl::StrCat("slurm_option ", Quoted(absl::CHexEscape(absl::string_view(option).substr(0, 128))),
                                    " is no long option of sbatch; write one per element, as \"--partition=gpu\""));
    } else if (IsOurs(option)) {
      at.ComplainAbout(kField, i,
                       absl::StrCat("slurm_option ", Quoted(option), " is set by the server for each job; remove it"));
    }
    settings->slurm_options.push_back(option);
  }
}

void CheckResources(const JobsConfig& jobs, const Located& at, JobsSettings* settings) {
  if (!jobs.device().empty()) settings->device = jobs.device();
  if (!IsDevice(settings->device)) {
    at.ComplainAbout(JobsConfig::kDeviceFieldNumber,
                     absl::StrCat("device ", Quoted(settings->device),
                                  " is unknown; use \"cpu\", \"cuda\" or \"cuda:0\", \"cuda:1\" ..."));
  }
  settings->max_threads = at.Bounded(JobsConfig::kMaxThreadsFieldNumber, jobs.max_threads(), Cores(), 1, kMaxThreads);
  settings->threads = at.Bounded(JobsConfig::kThreadsFieldNumber, jobs.threads(),
                                 std::clamp(Cores() / 2, 1, settings->max_threads), 1, settings->max_threads);
  settings->max_memory_bytes =
      at.Bounded64(JobsConfig::kMaxMemoryBytesFieldNumber, jobs.max_memory_bytes(), 0, kLeastMemory, kMostMemory);
  if (!jobs.has_nice()) return;
  if (jobs.nice() >= 0 && jobs.nice() <= 19) {
    settings->nice = jobs.nice();
  } else {
    at.ComplainAbout(JobsConfig::kNiceFieldNumber,
                     absl::StrCat("nice is ", jobs.nice(),
                                  "; it must be between 0 (as the server) and 19, or absent "
                                  "for ",
                                  settings->nice));
  }
}

absl::Duration Seconds(const Located& at, int field, absl::string_view name, double seconds, absl::Duration fallback) {
  if (seconds == 0) return fallback;
  if (seconds >= 1 && seconds <= kMaxSeconds) return absl::Seconds(seconds);
  at.ComplainAbout(field, absl::StrCat(name, " is ", seconds, "; it must be between 1 and ", kMaxSeconds,
                                       ", or absent for ", absl::ToInt64Seconds(fallback)));
  return fallback;
}

void CheckLimits(const JobsConfig& jobs, const Located& at, JobsSettings* settings) {
  for (const auto& [field, value, setting] :
       {std::tuple{JobsConfig::kMaxRunningPerDeviceFieldNumber, jobs.max_running_per_device(),
                   &settings->max_running_per_device},
        std::tuple{JobsConfig::kMaxQueuedFieldNumber, jobs.max_queued(), &settings->max_queued},
        std::tuple{JobsConfig::kMaxAttemptsFieldNumber, jobs.max_attempts(), &settings->max_attempts},
        std::tuple{JobsConfig::kMaxEndedFieldNumber, jobs.max_ended(), &settings->max_ended},
        std::tuple{JobsConfig::kMaxJobSeriesFieldNumber, jobs.max_job_series(), &settings->max_job_series}}) {
    *setting = at.Bounded(field, value, *setting, 1, kMaxCount);
  }
  settings->heartbeat_timeout =
      Seconds(at, JobsConfig::kHeartbeatTimeoutSecondsFieldNumber, "heartbeat_timeout_seconds",
              jobs.heartbeat_timeout_seconds(), settings->heartbeat_timeout);
  settings->stop_grace = Seconds(at, JobsConfig::kStopGraceSecondsFieldNumber, "stop_grace_seconds",
                                 jobs.stop_grace_seconds(), settings->stop_grace);
}

}  // namespace

JobsSettings CheckJobs(const JobsConfig& jobs, const Located& at, const std::string& base_directory) {
  JobsSettings settings;
  CheckDirectories(jobs, at, base_directory, &settings);
  CheckLauncher(jobs, at, &settings);
  CheckWorker(jobs, at, base_directory, &settings);
  CheckResources(jobs, at, &settings);
  CheckLimits(jobs, at, &settings);
  return settings;
}

}  // namespace petit::serving
