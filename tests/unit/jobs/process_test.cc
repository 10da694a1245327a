#include "server/jobs/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace petit::serving {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Program Shell(const std::string& script, std::vector<std::string> arguments = {}) {
  Program program;
  program.path = "/bin/sh";
  program.arguments = {"-c", script, "sh"};
  program.arguments.insert(program.arguments.end(), arguments.begin(), arguments.end());
  return program;
}

TEST(ProcessTest, CapturesBothStreamsAndTheStatus) {
  const auto result = RunCommand(Shell("echo \"out $1\"; echo err >&2; exit 3", {"a  b"}), absl::Minutes(1));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->out, "out a  b\n");
  EXPECT_EQ(result->err, "err\n");
  EXPECT_EQ(DescribeExit(result->wait_status), "exit status 3");
  EXPECT_FALSE(result->ok());
}

TEST(ProcessTest, TellsSignals) {
  EXPECT_EQ(DescribeExit(RunCommand(Shell("kill -KILL $$"), absl::Minutes(1))->wait_status), "killed by signal 9");
}

TEST(ProcessTest, KeepsTheFirstMegabyteOfMuchOutput) {
  const auto result = RunCommand(Shell("head -c 5000000 /dev/zero; echo end >&2"), absl::Minutes(1));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->out.size(), 1U << 20);
  EXPECT_EQ(result->err, "end\n");
}

TEST(ProcessTest, ItsInputIsEmpty) { EXPECT_EQ(RunCommand(Shell("cat"), absl::Minutes(1))->out, ""); }

TEST(ProcessTest, WhatGivesNoAnswerIsKilled) {
  const auto result = RunCommand(Shell("trap '' TERM; sleep 240 & sleep 240"), absl::Milliseconds(50));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("50ms"));
}

TEST(ProcessTest, AChildThatKeepsTheStreamsOpenIsNotWaitedFor) {
  const auto result = RunCommand(Shell("sleep 240 & echo $!"), absl::Minutes(1));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(RunCommand(Shell("kill -KILL $1", {result->out}), absl::Minutes(1))->wait_status, 0);
}

TEST(ProcessTest, ChangesTheEnvironment) {
  setenv("PETIT_TEST_A", "old", 1);
  setenv("PETIT_TEST_GONE_B", "gone", 1);
  Program program = Shell("env");
  program.environment = {{"PETIT_TEST_A", "new"}, {"PETIT_TEST_C", "c=d"}};
  program.without_prefixes = {"PETIT_TEST_GONE_"};
  const auto result = RunCommand(program, absl::Minutes(1));
  unsetenv("PETIT_TEST_A");
  unsetenv("PETIT_TEST_GONE_B");
  EXPECT_THAT(result->out, HasSubstr("PETIT_TEST_A=new\n"));
  EXPECT_THAT(result->out, HasSubstr("PETIT_TEST_C=c=d\n"));
  EXPECT_THAT(result->out, Not(HasSubstr("old")));
  EXPECT_THAT(result->out, Not(HasSubstr("gone")));
  EXPECT_THAT(result->out, HasSubstr("PATH=")) << "the rest is inherited";
}

TEST(ProcessTest, AMissingProgramIsSaid) {
  Program program;
  program.path = "petit-no-such-command";
  const auto result = RunCommand(program, absl::Minutes(1));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(result.status().message(), "\"petit-no-such-command\": cannot be started: No such file or directory");
}

TEST(ProcessTest, FilesAppearWhole) {
  const std::string path = ::testing::TempDir() + "petit_written";
  ASSERT_TRUE(WriteFileAtOnce(path, "first").ok());
  ASSERT_TRUE(WriteFileAtOnce(path, "second").ok());
  EXPECT_EQ(RunCommand(Shell("cat \"$1\"; ls \"$1\"*; rm \"$1\"", {path}), absl::Minutes(1))->out,
            "second" + path + "\n");
  EXPECT_EQ(WriteFileAtOnce("/no/such/directory/file", "x").code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace petit::serving
