// What a request is told when it was cancelled or its deadline passed.
#ifndef PETIT_MODELS_ENGINE_LATE_H_
#define PETIT_MODELS_ENGINE_LATE_H_

#include <atomic>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "models/engine/replica.h"

namespace petit::engine {

inline bool IsCancelled(const CancelFlag& flag) { return flag != nullptr && flag->load(std::memory_order_relaxed); }

// `where`: "in the queue after 1.2 s", "after 17 tokens".
inline absl::Status LateError(bool cancelled, std::string_view where) {
  if (cancelled) return absl::CancelledError(absl::StrFormat("cancelled %s", where));
  return absl::DeadlineExceededError(absl::StrFormat("deadline passed %s", where));
}

inline absl::Status LateInQueueError(bool cancelled, absl::Duration waited) {
  const double seconds = absl::ToDoubleSeconds(waited);
  return LateError(cancelled, seconds < 1 ? absl::StrFormat("in the queue after %.0f ms", seconds * 1000)
                                          : absl::StrFormat("in the queue after %.1f s", seconds));
}

}  // namespace petit::engine

#endif  // PETIT_MODELS_ENGINE_LATE_H_
