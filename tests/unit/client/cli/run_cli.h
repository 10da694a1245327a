// Runs `petit` within the test: its streams are strings.
#ifndef PETIT_TESTS_UNIT_CLIENT_CLI_RUN_CLI_H_
#define PETIT_TESTS_UNIT_CLIENT_CLI_RUN_CLI_H_

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "client/cli/command.h"
#include "gtest/gtest.h"

namespace petit::cli {

struct CliResult {
  int code = 0;
  std::string out;
  std::string err;
};

// `input` must fit the kernel's buffer of a pipe (64 KiB).
inline CliResult RunCli(const std::vector<std::string>& arguments, const std::string& input = "") {
  int pipe_fds[2] = {-1, -1};
  EXPECT_EQ(pipe(pipe_fds), 0);
  EXPECT_EQ(write(pipe_fds[1], input.data(), input.size()), static_cast<ssize_t>(input.size()));
  close(pipe_fds[1]);
  std::ostringstream out;
  std::ostringstream err;
  client::Cancellation cancellation;
  Io io{.in_fd = pipe_fds[0], .out = &out, .err = &err, .cancellation = &cancellation};
  const int code = RunPetit(arguments, io);
  close(pipe_fds[0]);
  return {.code = code, .out = out.str(), .err = err.str()};
}

// A file for the length of a test.
class TempFile {
 public:
  explicit TempFile(const std::string& text = "") {
    static int count = 0;
    path_ = testing::TempDir() + "petit-cli-" + std::to_string(getpid()) + "-" + std::to_string(count++);
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~TempFile() { std::remove(path_.c_str()); }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace petit::cli

#endif  // PETIT_TESTS_UNIT_CLIENT_CLI_RUN_CLI_H_
