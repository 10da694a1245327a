#include "server/jobs/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/jobs/files.h"

namespace petit::serving {
namespace {

constexpr std::size_t kMaxOutputBytes = std::size_t{1} << 20;
constexpr int kFirstSpareDescriptor = 64;  // above those that a program is given

// This process's environment as the program wants it.
std::vector<std::string> Environment(const Program& program) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const absl::string_view text = *entry;
    const absl::string_view name = text.substr(0, text.find('='));
    const bool replaced = std::any_of(program.environment.begin(), program.environment.end(),
                                      [&](const auto& variable) { return variable.first == name; });
    const bool removed = std::any_of(program.without_prefixes.begin(), program.without_prefixes.end(),
                                     [&](const auto& prefix) { return absl::StartsWith(name, prefix); });
    if (!replaced && !removed) result.emplace_back(text);
  }
  for (const auto& [name, value] : program.environment) result.push_back(absl::StrCat(name, "=", value));
  return result;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (std::string& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

absl::Status SpawnError(int error, const std::string& path) {
  const std::string message = ErrnoMessage(error, path, "cannot be started");
  if (error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE) {
    return absl::ResourceExhaustedError(message);
  }
  return absl::FailedPreconditionError(message);
}

// Appends what can be read now. False at the end of the stream.
bool Drain(int fd, std::string& text) {
  std::array<char, 16384> buffer;
  while (true) {
    const ssize_t size = read(fd, buffer.data(), buffer.size());
    if (size == 0) return false;
    if (size < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN;
    }
    text.append(buffer.data(), std::min(static_cast<std::size_t>(size), kMaxOutputBytes - text.size()));
  }
}

struct Pipe {
  Descriptor read_end, write_end;
};

absl::StatusOr<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ResourceExhaustedError(ErrnoMessage(errno, "pipe", "cannot be made"));
  Pipe result{Descriptor(ends[0]), Descriptor(ends[1])};
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return result;
}

}  // namespace

Descriptor OpenFile(const std::string& path, int flags) {
  return Descriptor(open(path.c_str(), flags | O_CLOEXEC, 0644));  // NOLINT(cppcoreguidelines-pro-type-vararg)
}

std::string ErrnoMessage(int error, absl::string_view path, absl::string_view doing) {
  return absl::StrCat("\"", path, "\": ", doing, ": ", std::strerror(error));
}

absl::Status WriteFileAtOnce(const std::string& path, absl::string_view text) {
  const absl::Status status = WriteFileDurably(path, text);
  return status.ok() ? status : absl::UnavailableError(status.message());
}

absl::StatusOr<pid_t> Spawn(const Program& program) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  const auto destroy = absl::MakeCleanup([&] {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  });

  // Copies out of the way first: a source may have the number of another's target.
  std::vector<Descriptor> sources;
  for (std::size_t target = 0; target < program.descriptors.size(); ++target) {
    const int given = program.descriptors[target];
    Descriptor source =
        given < 0 ? OpenFile("/dev/null", O_RDWR) : Descriptor(fcntl(given, F_DUPFD_CLOEXEC, kFirstSpareDescriptor));
    if (given < 0 && source.valid()) source = Descriptor(fcntl(source.get(), F_DUPFD_CLOEXEC, kFirstSpareDescriptor));
    if (!source.valid() && given < 0) {
      return absl::InternalError(absl::StrCat("/dev/null cannot be opened: ", std::generic_category().message(errno)));
    }
    if (!source.valid()) return SpawnError(errno, program.path);
    posix_spawn_file_actions_adddup2(&actions, source.get(), static_cast<int>(target));
    sources.push_back(std::move(source));
  }
  posix_spawn_file_actions_addclosefrom_np(&actions, static_cast<int>(program.descriptors.size()));
  if (!program.directory.empty()) posix_spawn_file_actions_addchdir_np(&actions, program.directory.c_str());

  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::vector<std::string> arguments = program.arguments;
  arguments.insert(arguments.begin(), program.path);
  std::vector<std::string> environment = Environment(program);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, program.path.c_str(), &actions, &attributes, Pointers(arguments).data(),
                                 Pointers(environment).data());
  if (error != 0) return SpawnError(error, program.path);
  return pid;
}

absl::StatusOr<CommandResult> RunCommand(Program program, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  absl::StatusOr<Pipe> out = MakePipe();
  if (!out.ok()) return out.status();
  absl::StatusOr<Pipe> err = MakePipe();
  if (!err.ok()) return err.status();
  program.descriptors = {-1, out->write_end.get(), err->write_end.get()};
  const absl::StatusOr<pid_t> pid = Spawn(program);
  if (!pid.ok()) return pid.status();
  out->write_end.Close();
  err->write_end.Close();

  // Its end is waited for rather than the streams': its children may keep those open.
  // (glibc 2.36 declares pidfd_open as a C++ function.)
  const Descriptor process(static_cast<int>(syscall(SYS_pidfd_open, *pid, 0)));
  CommandResult result;
  bool timed_out = !process.valid();
  std::array<pollfd, 3> waits = {
      {{process.get(), POLLIN, 0}, {out->read_end.get(), POLLIN, 0}, {err->read_end.get(), POLLIN, 0}}};
  while (!timed_out && waits[0].revents == 0) {
    const absl::Duration left = deadline - absl::Now();
    timed_out = left <= absl::ZeroDuration();
    if (timed_out) break;
    if (poll(waits.data(), waits.size(), static_cast<int>(absl::ToInt64Milliseconds(left)) + 1) <= 0) {
      waits[0].revents = 0;
      continue;
    }
    if (waits[1].revents != 0 && !Drain(waits[1].fd, result.out)) waits[1].fd = -1;
    if (waits[2].revents != 0 && !Drain(waits[2].fd, result.err)) waits[2].fd = -1;
  }
  if (timed_out) kill(-*pid, SIGKILL);
  while (waitpid(*pid, &result.wait_status, 0) < 0 && errno == EINTR) {
  }
  if (timed_out) {
    return absl::UnavailableError(
        absl::StrCat("\"", program.path, "\": gave no answer in ", absl::FormatDuration(timeout), " and was killed"));
  }
  Drain(out->read_end.get(), result.out);
  Drain(err->read_end.get(), result.err);
  return result;
}

std::string DescribeExit(int wait_status) {
  if (WIFSIGNALED(wait_status)) return absl::StrCat("killed by signal ", WTERMSIG(wait_status));
  return absl::StrCat("exit status ", WEXITSTATUS(wait_status));
}

}  // namespace petit::serving
