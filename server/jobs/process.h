// Starts programs by argument vectors: no shell, and nothing inherited but the environment and what is passed.
#ifndef PETIT_SERVER_JOBS_PROCESS_H_
#define PETIT_SERVER_JOBS_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/jobs/descriptor.h"

namespace petit::serving {

// Opens with O_CLOEXEC. Invalid on an error, which errno tells.
Descriptor OpenFile(const std::string& path, int flags);

// Writes a file that appears complete or not at all.
absl::Status WriteFileAtOnce(const std::string& path, absl::string_view text);

// "PATH: DOING: strerror".
std::string ErrnoMessage(int error, absl::string_view path, absl::string_view doing);

struct Program {
  std::string path;                    // absolute, or a name that is looked up in PATH
  std::vector<std::string> arguments;  // after the program's name
  // Set in addition to this process's environment, and what is removed from it: variables with these prefixes.
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<std::string> without_prefixes;
  std::string directory;         // to run in; empty: this process's
  std::vector<int> descriptors;  // the i-th becomes the program's descriptor i; -1: /dev/null. There are no others.
};

// Starts it in a process group of its own with default signal dispositions and an empty signal mask; returns its
// process id. RESOURCE_EXHAUSTED: the machine has no room for another process now. FAILED_PRECONDITION: it cannot be
// executed.
absl::StatusOr<pid_t> Spawn(const Program& program);

struct CommandResult {
  int wait_status = 0;   // of waitpid
  std::string out, err;  // the first megabyte of each
  [[nodiscard]] bool ok() const { return wait_status == 0; }
};

// Runs a program to its end, with nothing on its standard input. The errors of Spawn; UNAVAILABLE: it ran longer than
// `timeout` and was killed. program.descriptors must be empty.
absl::StatusOr<CommandResult> RunCommand(Program program, absl::Duration timeout);

// "exit status 1", "killed by signal 9".
std::string DescribeExit(int wait_status);

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_PROCESS_H_
