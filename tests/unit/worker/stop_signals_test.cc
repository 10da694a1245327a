#include "server/worker/stop_signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

namespace petit::worker {
namespace {

class StopSignalsTest : public testing::TestWithParam<int> {};

TEST_P(StopSignalsTest, ASignalStopsWhoAsksInAnyThreadAndAgain) {
  const pid_t child = fork();
  if (child == 0) {  // the signals stay with this process
    HoldStopSignals();
    if (StopRequested()) _exit(1);
    kill(getpid(), GetParam());
    bool elsewhere = false;
    std::thread([&] { elsewhere = StopRequested(); }).join();
    _exit(elsewhere && StopRequested() && StopRequested() ? 0 : 2);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

INSTANTIATE_TEST_SUITE_P(Each, StopSignalsTest, testing::Values(SIGTERM, SIGINT));

}  // namespace
}  // namespace petit::worker
