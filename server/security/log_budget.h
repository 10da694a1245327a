// Keeps what strangers can cause from filling the log.
#ifndef PETIT_SERVER_SECURITY_LOG_BUDGET_H_
#define PETIT_SERVER_SECURITY_LOG_BUDGET_H_

#include <cstdint>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace petit::serving {

// So many lines in a second. Thread-safe.
class LogBudget {
 public:
  explicit LogBudget(int lines) : lines_(lines) {}

  // Whether a line may be written: then how many were not since the last one that was.
  std::optional<std::int64_t> Take(absl::Time now) {
    const absl::MutexLock lock(&mutex_);
    if (now - since_ >= absl::Seconds(1)) {
      since_ = now;
      written_ = 0;
    }
    if (written_ == lines_) {
      ++left_out_;
      return std::nullopt;
    }
    ++written_;
    const std::int64_t left_out = left_out_;
    left_out_ = 0;
    return left_out;
  }

 private:
  const int lines_;
  absl::Mutex mutex_;
  absl::Time since_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  int written_ ABSL_GUARDED_BY(mutex_) = 0;
  std::int64_t left_out_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_SECURITY_LOG_BUDGET_H_
