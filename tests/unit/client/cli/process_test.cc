// The `petit` binary as a process: signals and pipes.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/client/cli/run_cli.h"
#include "tests/unit/client/fake_jobs.h"
#include "tests/unit/client/fake_server.h"

namespace petit::cli {
namespace {

using client::FakeServer;

struct Child {
  pid_t pid = 0;
  int in = -1;
  int out = -1;
  int err = -1;

  int Wait() const {
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
};

Child Start(std::vector<std::string> arguments) {
  int in[2];
  int out[2];
  int err[2];
  EXPECT_EQ(pipe2(in, O_CLOEXEC), 0);
  EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
  EXPECT_EQ(pipe2(err, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
  arguments.insert(arguments.begin(), "petit");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  Child child{.in = in[1], .out = out[0], .err = err[0]};
  EXPECT_EQ(posix_spawn(&child.pid, PETIT_BINARY, &actions, nullptr, argv.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  close(err[1]);
  return child;
}

Child Start(const FakeServer& server) {
  return Start({"translate", "--model", "student", "--server", server.address()});
}

// All that is still to come.
std::string ReadAll(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t count = 0; (count = read(fd, buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<std::size_t>(count));
  }
  return text;
}

TEST(Process, CtrlCCancelsTheCallInFlight) {
  FakeServer server;
  const Child child = Start(server);
  ASSERT_EQ(write(child.in, "hang\n", 5), 5);
  while (server.hanging == 0) std::this_thread::yield();
  kill(child.pid, SIGINT);
  EXPECT_EQ(child.Wait(), 130);
  server.Stop();  // waits for the handler, which saw the cancellation
  EXPECT_EQ(server.cancelled_calls, 1);
  close(child.in);
  close(child.out);
  close(child.err);
}

TEST(Process, CtrlCEndsTheWaitForInput) {
  FakeServer server;
  const Child child = Start(server);
  ASSERT_EQ(write(child.in, "one\n", 4), 4);
  char buffer[16];
  ASSERT_EQ(read(child.out, buffer, sizeof(buffer)), 4);  // a line is answered before the next one is there
  EXPECT_EQ(std::string(buffer, 4), "ONE\n");
  kill(child.pid, SIGTERM);
  EXPECT_EQ(child.Wait(), 130);
  close(child.in);
  close(child.out);
  close(child.err);
}

TEST(Process, ABrokenPipeEndsItWithoutACrash) {
  FakeServer server;
  const Child child = Start(server);
  close(child.out);
  ASSERT_EQ(write(child.in, "one\n", 4), 4);
  EXPECT_EQ(child.Wait(), 141);  // although its input stays open
  close(child.in);
  close(child.err);
}

TEST(Process, CtrlCStopsAWatchAndNotTheJob) {
  client::FakeJobServer server;
  server.AddState("jobs/a", petit::v1::JOB_STATE_RUNNING);
  server.AddLog("jobs/a", "reading data");
  const Child child = Start({"jobs", "watch", "a", "--server", server.address()});
  std::string text;
  char c = 0;
  // Lines are there as soon as their events.
  while (text.find("reading data\n") == std::string::npos && read(child.out, &c, 1) == 1) text += c;
  kill(child.pid, SIGINT);
  EXPECT_EQ(child.Wait(), 130);
  EXPECT_EQ(ReadAll(child.err),
            "petit: stopped watching; jobs/a goes on. `petit jobs watch a --after 2` watches it again, `petit jobs "
            "cancel a` stops it\n");
  EXPECT_EQ(server.cancel_calls, 0);
  close(child.in);
  close(child.out);
  close(child.err);
}

TEST(Process, AWatchEndsWhereNobodyReadsIt) {
  client::FakeJobServer server;
  server.AddState("jobs/a", petit::v1::JOB_STATE_RUNNING);
  const Child child = Start({"jobs", "watch", "a", "--server", server.address()});
  close(child.out);
  server.AddLog("jobs/a", "one");
  server.AddLog("jobs/a", "two");
  EXPECT_EQ(child.Wait(), 141);
  close(child.in);
  close(child.err);
}

// Up to the first `words`.
void ReadUntil(int fd, const std::string& words) {
  std::string text;
  char c = 0;
  while (text.find(words) == std::string::npos && read(fd, &c, 1) == 1) text += c;
}

TEST(Process, CtrlCEndsALoadWithItsReportAndASecondOneAtOnce) {
  FakeServer server;
  const Child child =
      Start({"load", "--model", "student", "--streams", "2", "--duration", "1h", "--server", server.address()});
  ReadUntil(child.err, "now ");
  kill(child.pid, SIGINT);
  EXPECT_EQ(child.Wait(), 130);
  EXPECT_NE(ReadAll(child.out).find("2 in flight"), std::string::npos);

  const TempFile texts("hang\n");
  const Child hanging =
      Start({"load", "--model", "student", "--streams", "1", "--texts", texts.path(), "--server", server.address()});
  while (server.hanging == 0) std::this_thread::yield();
  kill(hanging.pid, SIGINT);
  ReadUntil(hanging.err, "no more is sent");
  kill(hanging.pid, SIGINT);
  EXPECT_EQ(hanging.Wait(), 130);
  EXPECT_EQ(ReadAll(hanging.out), "");
  for (const Child& one : {child, hanging}) {
    close(one.in);
    close(one.out);
    close(one.err);
  }
}

}  // namespace
}  // namespace petit::cli
