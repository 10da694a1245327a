// The time of a run, which tests can make up.
#ifndef PETIT_CLIENT_LOAD_CLOCK_H_
#define PETIT_CLIENT_LOAD_CLOCK_H_

#include <condition_variable>
#include <mutex>

#include "absl/time/time.h"

namespace petit::load {

// Moments are the time since the clock was made.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual absl::Duration Now() const = 0;
  // Returns at `moment` (never, where it is infinite), or sooner where Wake was called since the last return.
  virtual void SleepUntil(absl::Duration moment) = 0;
  // From any thread.
  virtual void Wake() = 0;
};

// Monotonic.
class SteadyClock final : public Clock {
 public:
  SteadyClock();
  [[nodiscard]] absl::Duration Now() const override;
  void SleepUntil(absl::Duration moment) override;
  void Wake() override;

 private:
  const std::chrono::steady_clock::time_point start_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool awake_ = false;
};

}  // namespace petit::load

#endif  // PETIT_CLIENT_LOAD_CLOCK_H_
