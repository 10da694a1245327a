// The `petit` command.
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "client/cli/command.h"
#include "client/cli/interrupt.h"

namespace {

petit::cli::TerminalSize Size() {
  winsize size = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {.columns = size.ws_col, .rows = size.ws_row};
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that has gone shows as a failed write, after which the calls in flight are ended in order.
  std::signal(SIGPIPE, SIG_IGN);
  std::ios::sync_with_stdio(false);
  // What gRPC has to say of a failure comes back as the call's error, and is said there.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  petit::cli::Interrupt interrupt;
  petit::cli::Io io{.in_fd = STDIN_FILENO,
                    .out = &std::cout,
                    .err = &std::cerr,
                    .in_is_terminal = isatty(STDIN_FILENO) == 1,
                    .out_is_terminal = isatty(STDOUT_FILENO) == 1,
                    .err_is_terminal = isatty(STDERR_FILENO) == 1,
                    .terminal_size = Size,
                    .cancellation = &interrupt.cancellation(),
                    .interrupt_fd = interrupt.fd(),
                    .restore_signals = [&] {
                      std::signal(SIGPIPE, SIG_DFL);
                      interrupt.Release();
                    }};
  return petit::cli::RunPetit(std::vector<std::string>(argv + 1, argv + argc), io);
}
