#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/jobs/flock_holders.h"
#include "server/jobs/launch_check.h"
#include "server/jobs/launcher.h"
#include "server/jobs/process.h"

namespace petit::serving {
namespace {

constexpr int kWorkerLockDescriptor = 3;
constexpr int kWorkerOomScore = 500;  // of 1000: where memory ends, the kernel takes workers before the server

enum class LockState { kAbsent, kFree, kHeld };

absl::StatusOr<LockState> LookAtLock(const std::string& path) {
  const Descriptor file = OpenFile(path, O_RDONLY);
  if (!file.valid() && errno == ENOENT) return LockState::kAbsent;
  if (!file.valid()) return absl::UnavailableError(ErrnoMessage(errno, path, "cannot be opened"));
  if (flock(file.get(), LOCK_SH | LOCK_NB) == 0) return LockState::kFree;
  if (errno == EWOULDBLOCK) return LockState::kHeld;
  return absl::UnavailableError(ErrnoMessage(errno, path, "cannot be locked"));
}

// How many processes the kernel has killed for memory since it booted.
std::int64_t OomKills() {
  std::ifstream file("/proc/vmstat");
  std::string name;
  for (std::int64_t value = 0; file >> name >> value;) {
    if (name == "oom_kill") return value;
  }
  return 0;
}

// posix_spawn has no attribute for these. They come after it, while the worker's libraries are still being loaded:
// niceness is set for all threads of the group, and RLIMIT_DATA counts what is allocated before it too.
absl::Status LimitProcess(pid_t pid, int nice, std::int64_t memory_bytes) {
  const auto failed = [](const char* what) {
    // A worker that has ended already needs no limits.
    return errno == ESRCH ? absl::OkStatus() : absl::InternalError(ErrnoMessage(errno, what, "cannot be set"));
  };
  if (nice != 0) {
    const int present = getpriority(PRIO_PROCESS, 0);
    if (setpriority(PRIO_PGRP, static_cast<id_t>(pid), std::min(present + nice, 19)) != 0) return failed("niceness");
  }
  if (memory_bytes > 0) {
    rlimit limit = {};
    if (prlimit(pid, RLIMIT_DATA, nullptr, &limit) != 0) return failed("RLIMIT_DATA");
    limit.rlim_max = std::min(limit.rlim_max, static_cast<rlim_t>(memory_bytes));
    limit.rlim_cur = limit.rlim_max;
    if (prlimit(pid, RLIMIT_DATA, &limit, nullptr) != 0) return failed("RLIMIT_DATA");
  }
  std::ofstream(absl::StrCat("/proc/", pid, "/oom_score_adj")) << kWorkerOomScore;  // where it may
  return absl::OkStatus();
}

class LocalLauncher : public Launcher {
 public:
  explicit LocalLauncher(const JobsSettings& settings) : worker_(settings.worker), nice_(settings.nice) {}
  absl::Status Start(const Launch& launch) override;
  absl::StatusOr<WorkerReport> Poll(const Launch& launch) override;
  absl::Status Stop(const Launch& launch, bool kill) override;

 private:
  // A worker that this object has started, by its attempt's directory. Until it is reaped, nobody else can get its
  // process id.
  struct Child {
    pid_t pid = 0;
    bool reaped = false;
    bool killed = false;  // by Stop
    std::int64_t oom_kills_before = 0;
    WorkerReport report;  // of a reaped one
  };

  static void ReapIfEnded(Child& child);
  static void KillAndReap(Child& child);

  const std::string worker_;
  const int nice_;
  std::map<std::string, Child> children_;
};

absl::Status LocalLauncher::Start(const Launch& launch) {
  if (auto status = CheckLaunch(launch); !status.ok()) return status;
  const std::string lock_path = AttemptFile(launch, "lock");
  Descriptor lock = OpenFile(lock_path, O_RDWR | O_CREAT | O_EXCL);
  if (!lock.valid()) {
    if (errno != EEXIST) return absl::FailedPreconditionError(ErrnoMessage(errno, lock_path, "cannot be made"));
    return absl::AlreadyExistsError(absl::StrCat(DescribeLaunch(launch), " was started before: \"", lock_path,
                                                 "\" exists; an attempt is started at most once"));
  }
  const auto undo = [&](absl::Status status) {
    unlink(lock_path.c_str());
    return status;
  };
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return undo(absl::FailedPreconditionError(ErrnoMessage(errno, lock_path, "cannot be locked")));
  }
  const std::string log_path = AttemptFile(launch, "worker.log");
  const Descriptor log = OpenFile(log_path, O_WRONLY | O_CREAT | O_APPEND);
  if (!log.valid()) return undo(absl::FailedPreconditionError(ErrnoMessage(errno, log_path, "cannot be opened")));

  Program program;
  program.path = worker_;
  program.arguments = launch.arguments;
  program.environment = {{"OMP_NUM_THREADS", absl::StrCat(launch.threads)},
                         {"PETIT_LOCK_FD", absl::StrCat(kWorkerLockDescriptor)}};
  program.directory = launch.attempt_directory;
  program.descriptors = {-1, log.get(), log.get(), lock.get()};
  Child child;
  child.oom_kills_before = OomKills();
  const absl::StatusOr<pid_t> pid = Spawn(program);
  if (!pid.ok()) {
    return undo(absl::Status(pid.status().code(),
                             absl::StrCat("the worker ", pid.status().message(), "; jobs.worker says which it is")));
  }
  child.pid = *pid;
  lock.Close();

  absl::Status status = LimitProcess(*pid, nice_, launch.memory_bytes);
  if (status.ok() && LookAtLock(lock_path).value_or(LockState::kFree) != LockState::kHeld) {
    ReapIfEnded(child);
    if (!child.reaped) {
      status = absl::FailedPreconditionError(
          absl::StrCat("\"", lock_path, "\": the worker did not get the lock; the jobs' root must be on a file system ",
                       "whose flock belongs to open files, which those of networks do not have"));
    }
  }
  if (!status.ok()) KillAndReap(child);
  children_[launch.attempt_directory] = std::move(child);
  return status;
}

void LocalLauncher::ReapIfEnded(Child& child) {
  if (child.reaped) return;
  siginfo_t info = {};
  const int result = waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED | WNOHANG | WNOWAIT);
  if (result == 0 && info.si_pid == 0) return;  // runs
  child.reaped = true;
  child.report.state = WorkerState::kEnded;
  if (result != 0) return;  // somebody else has reaped it: the number may be another's by now
  // What it left behind ends with it. Its process id is still its own, and so is the group's.
  kill(-child.pid, SIGKILL);
  int wait_status = 0;
  while (waitpid(child.pid, &wait_status, 0) < 0 && errno == EINTR) {
  }
  child.report.reason = DescribeExit(wait_status);
  if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL && !child.killed &&
      OomKills() > child.oom_kills_before) {
    child.report.lost_memory = true;
    child.report.reason = absl::StrCat("out of memory: ", child.report.reason, " by the kernel");
  }
}

void LocalLauncher::KillAndReap(Child& child) {
  if (child.reaped) return;
  child.killed = true;
  kill(-child.pid, SIGKILL);
  siginfo_t info = {};
  while (waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
  }
  ReapIfEnded(child);
}

absl::StatusOr<WorkerReport> LocalLauncher::Poll(const Launch& launch) {
  if (auto status = CheckLaunch(launch); !status.ok()) return status;
  WorkerReport report;
  if (auto it = children_.find(launch.attempt_directory); it != children_.end()) {
    ReapIfEnded(it->second);
    if (it->second.reaped) return it->second.report;
    report.state = WorkerState::kRunning;
    return report;
  }
  const absl::StatusOr<LockState> lock = LookAtLock(AttemptFile(launch, "lock"));
  if (!lock.ok()) return lock.status();
  switch (*lock) {
    case LockState::kAbsent:
      report.state = WorkerState::kNotStarted;
      break;
    case LockState::kHeld:
      report.state = WorkerState::kRunning;
      break;
    case LockState::kFree:
      report.state = WorkerState::kEnded;
      break;
  }
  return report;
}

absl::Status LocalLauncher::Stop(const Launch& launch, bool kill) {
  if (auto status = CheckLaunch(launch); !status.ok()) return status;
  const int signal = kill ? SIGKILL : SIGTERM;
  if (auto it = children_.find(launch.attempt_directory); it != children_.end()) {
    Child& child = it->second;
    ReapIfEnded(child);
    if (child.reaped) return absl::OkStatus();
    child.killed = child.killed || kill;
    ::kill(-child.pid, signal);
    return absl::OkStatus();
  }
  // Another server's: only who holds the lock is the worker, or what it forked.
  const std::string lock_path = AttemptFile(launch, "lock");
  const absl::StatusOr<LockState> lock = LookAtLock(lock_path);
  if (!lock.ok()) return lock.status();
  if (*lock != LockState::kHeld) return absl::OkStatus();
  std::set<pid_t> groups;
  for (const pid_t holder : FlockHolders(lock_path)) {
    if (const pid_t group = getpgid(holder); group > 1 && group != getpgrp()) groups.insert(group);
  }
  for (const pid_t group : groups) ::kill(-group, signal);
  if (!groups.empty()) return absl::OkStatus();
  const absl::StatusOr<LockState> now = LookAtLock(lock_path);
  if (now.ok() && *now != LockState::kHeld) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(DescribeLaunch(launch), ": \"", lock_path,
                                             "\" is held, but by no process that can be seen from here"));
}

}  // namespace

std::unique_ptr<Launcher> MakeLocalLauncher(const JobsSettings& settings) {
  return std::make_unique<LocalLauncher>(settings);
}

}  // namespace petit::serving
