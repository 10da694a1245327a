#include <chrono>
#include <utility>

#include "client/lib/client.h"

namespace petit::client {

void Cancellation::Cancel() {
  const std::lock_guard lock(mutex_);
  if (cancelled_) return;
  cancelled_ = true;
  // Under the lock, so that RemoveCallback can promise that none runs any more.
  for (auto& [id, callback] : callbacks_) callback();
  changed_.notify_all();
}

bool Cancellation::cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

bool Cancellation::WaitFor(absl::Duration duration) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, absl::ToChronoNanoseconds(duration), [this] { return cancelled_; });
}

std::int64_t Cancellation::AddCallback(std::function<void()> callback) {
  const std::lock_guard lock(mutex_);
  if (cancelled_) callback();
  const std::int64_t id = next_id_++;
  callbacks_.emplace(id, std::move(callback));
  return id;
}

void Cancellation::RemoveCallback(std::int64_t id) {
  const std::lock_guard lock(mutex_);
  callbacks_.erase(id);
}

}  // namespace petit::client
