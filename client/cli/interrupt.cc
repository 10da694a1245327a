#include "client/cli/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

#include "client/cli/command.h"

namespace petit::cli {
namespace {

void Raise(int fd) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(fd, &one, sizeof(one));
}

}  // namespace

Interrupt::Interrupt() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  signal_fd_ = signalfd(-1, &signals, SFD_CLOEXEC);
  raised_fd_ = eventfd(0, EFD_CLOEXEC);
  stop_fd_ = eventfd(0, EFD_CLOEXEC);
  // Without descriptors the signals keep their default: they end the process.
  if (signal_fd_ < 0 || raised_fd_ < 0 || stop_fd_ < 0) return;
  pthread_sigmask(SIG_BLOCK, &signals, &previous_mask_);
  thread_ = std::thread([this] { Watch(); });
}

Interrupt::~Interrupt() {
  Release();
  for (const int fd : {signal_fd_, raised_fd_, stop_fd_}) {
    if (fd >= 0) close(fd);
  }
}

void Interrupt::Release() {
  if (!thread_.joinable()) return;
  Raise(stop_fd_);
  thread_.join();
  pthread_sigmask(SIG_SETMASK, &previous_mask_, nullptr);
}

void Interrupt::Watch() {
  pollfd polled[2] = {{.fd = signal_fd_, .events = POLLIN, .revents = 0},
                      {.fd = stop_fd_, .events = POLLIN, .revents = 0}};
  while (true) {
    if (poll(polled, 2, -1) < 0) continue;
    if (polled[1].revents != 0) return;
    signalfd_siginfo info;
    if (read(signal_fd_, &info, sizeof(info)) != sizeof(info)) continue;
    if (cancellation_.cancelled()) _exit(kExitInterrupted);
    // In this order: who is woken by the descriptor asks the cancellation whether it was the user.
    cancellation_.Cancel();
    Raise(raised_fd_);
  }
}

}  // namespace petit::cli
