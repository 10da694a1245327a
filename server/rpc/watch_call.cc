#include "server/rpc/watch_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/message_io.h"

namespace petit::serving {

WatchCall::Reactor* WatchCall::Start(const Environment& environment, grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request) {
  const std::shared_ptr<WatchCall> call(new WatchCall(environment, context));
  call->self_ = call;
  environment.calls->AddStream(call);
  absl::Status status = call->TakeRequest(*request);
  const absl::MutexLock lock(&call->mutex_);
  if (!status.ok()) call->End(std::move(status));
  call->Advance();
  return call.get();
}

absl::Status WatchCall::TakeRequest(const grpc::ByteBuffer& request) {
  if (absl::Status status = context_.CheckAccepting(); !status.ok()) return status;
  if (absl::Status status = ParseMessage(request, &request_); !status.ok()) return status;
  if (request_.after_sequence() < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("after_sequence is ", request_.after_sequence(),
                     "; it must be 0 for all events, or the number of the last one seen"));
  }
  return absl::OkStatus();
}

void WatchCall::Subscribe() {
  // Weak: a call that has ended is let go of before its subscription.
  subscription_ = jobs_->Subscribe([call = weak_from_this()] {
    if (const std::shared_ptr<WatchCall> held = call.lock()) held->Wake();
  });
}

void WatchCall::Wake() {
  const absl::MutexLock lock(&mutex_);
  woken_ = true;
  Advance();
}

void WatchCall::Read() {
  // Before the first chunk: an event that comes after it wakes the call.
  if (!subscription_) Subscribe();
  const absl::StatusOr<JobApi::Events> chunk = jobs_->EventsAfter(request_.name(), request_.after_sequence(), kChunk);
  std::deque<grpc::ByteBuffer> events;
  if (chunk.ok()) {
    for (const v1::JobEvent& event : chunk->events) {
      events.push_back(SerializeMessage(event));
      request_.set_after_sequence(event.sequence());
    }
  }
  const absl::MutexLock lock(&mutex_);
  reading_ = false;
  if (!chunk.ok()) {
    End(chunk.status());
  } else if (!end_) {
    events_ = std::move(events);
    read_all_ = chunk->ended;
    if (chunk->events.size() >= kChunk) woken_ = true;
  }
  Advance();
}

void WatchCall::OnWriteDone(bool /*ok*/) {
  const absl::MutexLock lock(&mutex_);
  writing_ = false;
  outgoing_.Clear();
  Advance();
}

void WatchCall::OnCancel() {
  context_.Cancel();
  const absl::MutexLock lock(&mutex_);
  End(context_.CancelledStatus());
  Advance();
}

void WatchCall::OnDone() {
  // Not here: Unsubscribe may wait for a wake-up that waits for this call's lock.
  const std::shared_ptr<WatchCall> self = std::exchange(self_, nullptr);
  if (subscription_) {
    self->context_.environment().watchers->Post([self, jobs = jobs_, id = *subscription_] { jobs->Unsubscribe(id); });
  }
}

void WatchCall::Tick(absl::Time /*now*/, DrainPhase phase) {
  if (phase == DrainPhase::kNone) return;
  const absl::MutexLock lock(&mutex_);
  End(absl::UnavailableError("the server is draining; watch again from the last sequence number seen"));
  Advance();
}

void WatchCall::End(absl::Status status) {
  if (end_) return;
  end_ = std::move(status);
  events_.clear();
}

void WatchCall::Advance() {
  if (finished_ || writing_) return;
  if (!events_.empty()) {
    outgoing_ = events_.front();  // shares its bytes
    events_.pop_front();
    writing_ = true;
    StartWrite(&outgoing_);
    return;
  }
  if (reading_) return;
  if (!end_ && read_all_) end_ = absl::OkStatus();
  if (end_) {
    finished_ = true;
    Finish(context_.Finish(*end_));
    return;
  }
  if (!woken_) return;
  woken_ = false;
  reading_ = true;
  context_.environment().watchers->Post([self = shared_from_this()] { self->Read(); });
}

}  // namespace petit::serving
