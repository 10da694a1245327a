#include "server/shutdown_signals.h"

#include <pthread.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "spdlog/spdlog.h"

namespace petit::serving {
namespace {

// What a shell reports of a process that a second Ctrl-C ended.
constexpr int kInterrupted = 130;

[[noreturn]] void ExitNow(int status) {
  spdlog::default_logger()->flush();
  std::_Exit(status);
}

}  // namespace

struct ShutdownSignals::State {
  void Watch();

  sigset_t signals;
  absl::Duration patience;
  std::atomic<bool> ready = false;
  absl::Notification requested;
};

void ShutdownSignals::State::Watch() {
  int signal = 0;
  sigwait(&signals, &signal);
  if (!ready) {
    spdlog::info("signal {} before the server was ready: exiting", signal);
    ExitNow(EXIT_SUCCESS);
  }
  spdlog::info("signal {}: draining; a second one exits at once", signal);
  requested.Notify();
  const absl::Time end = absl::Now() + patience;
  while (absl::Now() < end) {
    const timespec wait = absl::ToTimespec(end - absl::Now());
    if (sigtimedwait(&signals, nullptr, &wait) < 0) continue;  // time is up, or a debugger came by
    spdlog::warn("second signal: exiting at once");
    ExitNow(kInterrupted);
  }
  spdlog::warn("not everything ended in time: exiting");
  ExitNow(EXIT_SUCCESS);
}

ShutdownSignals::ShutdownSignals(absl::Duration patience) : state_(new State) {
  state_->patience = patience;
  sigemptyset(&state_->signals);
  sigaddset(&state_->signals, SIGTERM);
  sigaddset(&state_->signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &state_->signals, nullptr);
  std::thread([state = state_] { state->Watch(); }).detach();
}

void ShutdownSignals::Ready() { state_->ready = true; }

void ShutdownSignals::Wait() { state_->requested.WaitForNotification(); }

}  // namespace petit::serving
