#include "client/cli/interrupt.h"

#include <poll.h>
#include <unistd.h>

#include <csignal>

#include "gtest/gtest.h"

namespace petit::cli {
namespace {

[[noreturn]] void InterruptMyselfOften() {
  for (int round = 0; round < 500; ++round) {
    Interrupt interrupt;
    kill(getpid(), SIGINT);
    pollfd polled{interrupt.fd(), POLLIN, 0};
    if (poll(&polled, 1, -1) != 1 || !interrupt.cancellation().cancelled()) _exit(1);
  }
  _exit(0);
}

// In a process of its own, since a signal goes to any thread that does not block it.
TEST(InterruptDeathTest, WhoeverTheDescriptorWakesSeesTheCancellation) {
  EXPECT_EXIT(InterruptMyselfOften(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace petit::cli
