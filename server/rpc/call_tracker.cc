#include "server/rpc/call_tracker.h"

#include <utility>

namespace petit::serving {

CallTracker::Ref::Ref(CallTracker* tracker) : tracker_(tracker) {
  const absl::MutexLock lock(&tracker_->mutex_);
  ++tracker_->calls_;
}

CallTracker::Ref::~Ref() {
  const absl::MutexLock lock(&tracker_->mutex_);
  --tracker_->calls_;
}

void CallTracker::StartDraining(absl::Time closing) {
  const absl::MutexLock lock(&mutex_);
  closing_ = closing;
  draining_ = true;
}

bool CallTracker::WaitForNone(absl::Time deadline) {
  const absl::MutexLock lock(&mutex_);
  const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return calls_ == 0; };
  return mutex_.AwaitWithDeadline(absl::Condition(&none), deadline);
}

void CallTracker::AddStream(std::weak_ptr<TickedStream> stream) {
  const absl::MutexLock lock(&mutex_);
  streams_.push_back(std::move(stream));
}

void CallTracker::TickStreams(absl::Time now) {
  std::vector<std::shared_ptr<TickedStream>> live;
  DrainPhase phase = DrainPhase::kNone;
  {
    const absl::MutexLock lock(&mutex_);
    if (draining()) phase = now >= closing_ ? DrainPhase::kClosing : DrainPhase::kPatient;
    std::erase_if(streams_, [](const std::weak_ptr<TickedStream>& stream) { return stream.expired(); });
    live.reserve(streams_.size());
    for (const auto& stream : streams_) {
      if (std::shared_ptr<TickedStream> held = stream.lock()) live.push_back(std::move(held));
    }
  }
  for (const auto& stream : live) stream->Tick(now, phase);
}

}  // namespace petit::serving
