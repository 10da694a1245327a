#include "client/load/clock.h"

#include <chrono>
#include <utility>

namespace petit::load {

SteadyClock::SteadyClock() : start_(std::chrono::steady_clock::now()) {}

absl::Duration SteadyClock::Now() const { return absl::FromChrono(std::chrono::steady_clock::now() - start_); }

void SteadyClock::SleepUntil(absl::Duration moment) {
  std::unique_lock lock(mutex_);
  const auto awake = [this] { return awake_; };
  if (moment == absl::InfiniteDuration()) {
    changed_.wait(lock, awake);
  } else {
    changed_.wait_until(lock, start_ + absl::ToChronoNanoseconds(moment), awake);
  }
  awake_ = false;
}

void SteadyClock::Wake() {
  const std::lock_guard lock(mutex_);
  awake_ = true;
  changed_.notify_all();
}

}  // namespace petit::load
