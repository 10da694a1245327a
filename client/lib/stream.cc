#include "client/lib/stream.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/lib/backoff.h"
#include "client/lib/convert.h"
#include "client/lib/status.h"

namespace petit::client {

using petit::v1::StreamTranslateRequest;
using petit::v1::StreamTranslateResponse;

// gRPC's side of one call. Its fields are guarded by the session's lock, but for the messages that an operation
// holds while it runs.
class StreamSession::Call : public grpc::ClientBidiReactor<StreamTranslateRequest, StreamTranslateResponse> {
 public:
  explicit Call(StreamSession* session) : session_(session) {}

  void OnWriteDone(bool ok) override {
    Raise([&] {
      writing = false;
      broken = broken || !ok;
    });
  }
  void OnReadDone(bool ok) override {
    Raise([&] {
      reading = false;
      received = ok;
      broken = broken || !ok;
    });
  }
  void OnWritesDoneDone(bool /*ok*/) override {
    Raise([&] { writing = false; });
  }
  // gRPC's last touch of this object: the pump deletes it once it has seen `done`.
  void OnDone(const grpc::Status& status) override {
    Raise([&] {
      final_status = status;
      done = true;
    });
  }

  grpc::ClientContext context;
  StreamTranslateRequest request;
  StreamTranslateResponse response;
  grpc::Status final_status;
  bool options_sent = false;
  bool writing = false;      // an operation that writes is under way
  bool writes_done = false;  // the end was announced
  bool reading = false;
  bool received = false;  // `response` is to be taken
  bool broken = false;    // nothing more will come or go
  bool released = false;  // the hold is gone; `done` will follow
  bool done = false;

 private:
  template <typename Change>
  void Raise(const Change& change) {
    // Notified under the lock: the pump may delete both the call and the session as soon as it is free.
    StreamSession* const session = session_;
    const std::lock_guard lock(session->mutex_);
    change();
    session->changed_.notify_all();
  }

  StreamSession* const session_;
};

StreamSession::StreamSession(StreamEnvironment environment, const TranslateOptions& options,
                             const StreamOptions& stream, const ResultSink& sink, Cancellation* cancellation)
    : environment_(std::move(environment)),
      options_(ToProto(options)),
      stream_(stream),
      sink_(sink),
      cancellation_(cancellation) {}

StreamSession::~StreamSession() = default;

absl::Status StreamSession::Run(const TextSource& source) {
  std::int64_t callback = 0;
  if (cancellation_ != nullptr) {
    callback = cancellation_->AddCallback([this] {
      const std::lock_guard lock(mutex_);
      cancelled_ = true;
      changed_.notify_all();
    });
  }
  std::thread pump([this] { Pump(); });
  const std::size_t max_in_flight = stream_.max_in_flight;
  const std::size_t max_undelivered =
      stream_.max_undelivered > 0 ? std::max(stream_.max_undelivered, stream_.max_in_flight) : 4 * max_in_flight;
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] {
      return finished_ || (items_.size() < max_in_flight && items_.size() + ready_.size() < max_undelivered);
    });
    if (finished_) break;
    lock.unlock();
    std::optional<absl::StatusOr<std::string>> text = source();
    lock.lock();
    if (!text) {
      input_ended_ = true;
      changed_.notify_all();
      break;
    }
    const std::int64_t index = next_index_++;
    if (text->ok()) {
      items_.emplace(index, Item{.text = **std::move(text)});
      to_send_.emplace(absl::InfinitePast(), index);
    } else {
      ready_.emplace(index, text->status());
    }
    changed_.notify_all();
  }
  lock.unlock();
  pump.join();
  if (cancellation_ != nullptr) cancellation_->RemoveCallback(callback);
  return final_status_;
}

void StreamSession::Pump() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (call_ == nullptr && (abort_ || AllDelivered())) break;
    // Delivering comes before receiving, so that a slow sink slows the server down.
    if (CheckAbort() || Deliver(lock) || OpenCall(lock) || Receive(lock) || Send(lock) || FinishWrites(lock) ||
        CloseCall(lock)) {
      continue;
    }
    const absl::Time wake_up = NextWakeUp();
    if (wake_up == absl::InfiniteFuture()) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, absl::ToChronoTime(wake_up));
    }
  }
  final_status_ = abort_.value_or(absl::OkStatus());
  if (!final_status_.ok() && stream_.on_failure) {
    lock.unlock();
    stream_.on_failure();
    lock.lock();
  }
  finished_ = true;
  changed_.notify_all();
}

// Gives up when told to, and when the server has been silent for too long.
bool StreamSession::CheckAbort() {
  if (abort_) return false;
  if (cancelled_) {
    Abort(absl::CancelledError("the call was cancelled by its caller"));
    return true;
  }
  if (call_ != nullptr && InFlight() > 0 && absl::Now() >= last_progress_ + environment_.timeout) {
    Abort(absl::DeadlineExceededError(absl::StrCat("no answer from ", environment_.server, " within ",
                                                   absl::FormatDuration(environment_.timeout), " while ", InFlight(),
                                                   " texts were in flight")));
    return true;
  }
  return false;
}

void StreamSession::Abort(absl::Status status) {
  abort_ = std::move(status);
  if (call_ != nullptr) call_->context.TryCancel();
}

bool StreamSession::OpenCall(std::unique_lock<std::mutex>& lock) {
  if (call_ != nullptr || abort_ || to_send_.empty() || absl::Now() < open_after_) return false;
  call_ = std::make_unique<Call>(this);
  last_progress_ = absl::Now();
  call_->reading = true;
  Call* const call = call_.get();
  lock.unlock();
  environment_.stub->async()->StreamTranslate(&call->context, call);
  call->AddHold();  // operations are started from the pump, outside gRPC's reactions
  call->StartRead(&call->response);
  call->StartCall();
  lock.lock();
  return true;
}

bool StreamSession::Receive(std::unique_lock<std::mutex>& lock) {
  if (call_ == nullptr || !call_->received) return false;
  call_->received = false;
  environment_.was_reached->store(true, std::memory_order_relaxed);
  last_progress_ = absl::Now();
  failed_calls_ = 0;
  const std::int64_t index = call_->response.id();
  TextResult result = FromProto(std::move(*call_->response.mutable_result()));
  if (!abort_) HandleResult(index, std::move(result));
  call_->reading = true;
  Call* const call = call_.get();
  lock.unlock();
  call->StartRead(&call->response);
  lock.lock();
  return true;
}

void StreamSession::HandleResult(std::int64_t index, TextResult result) {
  const auto found = items_.find(index);
  if (found == items_.end()) {
    Abort(absl::InternalError(absl::StrCat("the server answered text ", index, ", which was not asked")));
    return;
  }
  Item& item = found->second;
  if (!result.ok() && IsRetryable(result.status()) && item.attempts < environment_.retry.max_attempts) {
    item.sent = false;
    item.send_after = absl::Now() + WaitAfter(environment_.retry, item.attempts, result.status());
    to_send_.emplace(item.send_after, index);
    return;
  }
  if (result.ok()) result->round_trip = absl::Now() - item.first_sent_at;
  items_.erase(found);
  ready_.emplace(index, std::move(result));
}

bool StreamSession::Deliver(std::unique_lock<std::mutex>& lock) {
  if (abort_ || ready_.empty() || (stream_.ordered && ready_.begin()->first != next_to_deliver_)) return false;
  auto result = ready_.extract(ready_.begin());
  ++next_to_deliver_;
  lock.unlock();
  absl::Status status = sink_(result.key(), std::move(result.mapped()));
  lock.lock();
  if (!status.ok()) Abort(std::move(status));
  last_progress_ = absl::Now();  // what the sink took is not the server's silence
  changed_.notify_all();         // there is room for the source
  return true;
}

bool StreamSession::Send(std::unique_lock<std::mutex>& lock) {
  if (call_ == nullptr || abort_ || call_->writing || call_->broken || call_->writes_done || to_send_.empty() ||
      absl::Now() < to_send_.begin()->first) {
    return false;
  }
  const std::int64_t index = to_send_.begin()->second;
  to_send_.erase(to_send_.begin());
  Item& item = items_.at(index);
  ++item.attempts;
  item.sent = true;
  item.first_sent_at = std::min(item.first_sent_at, absl::Now());
  // Silence is counted from when there was something to answer.
  if (InFlight() == 1) last_progress_ = absl::Now();
  Call* const call = call_.get();
  call->request.Clear();
  if (!std::exchange(call->options_sent, true)) *call->request.mutable_options() = options_;
  call->request.set_id(index);
  call->request.set_text(item.text);
  call->writing = true;
  lock.unlock();
  call->StartWrite(&call->request);
  lock.lock();
  return true;
}

bool StreamSession::FinishWrites(std::unique_lock<std::mutex>& lock) {
  if (call_ == nullptr || !AllDelivered() || call_->writing || call_->broken || call_->writes_done) return false;
  call_->writes_done = true;
  call_->writing = true;
  Call* const call = call_.get();
  lock.unlock();
  call->StartWritesDone();
  lock.lock();
  return true;
}

bool StreamSession::CloseCall(std::unique_lock<std::mutex>& lock) {
  if (call_ == nullptr) return false;
  if (call_->broken && !call_->released && !call_->writing && !call_->reading) {
    call_->released = true;
    Call* const call = call_.get();
    lock.unlock();
    call->RemoveHold();
    lock.lock();
    return true;
  }
  if (!call_->done) return false;
  const std::unique_ptr<Call> call = std::move(call_);
  CallEnded(FromGrpc(call->final_status, call->context, environment_.server, environment_.timeout));
  return true;
}

void StreamSession::CallEnded(const absl::Status& status) {
  if (abort_ || AllDelivered()) return;
  const absl::Status why =
      status.ok() ? absl::UnavailableError(absl::StrCat("the server at ", environment_.server,
                                                        " ended the stream with ", items_.size(), " texts unanswered"))
                  : status;
  ++failed_calls_;
  const bool wait_for_it = !IsServerUnreachable(why) || IsPassingConnectFailure(why) ||
                           environment_.was_reached->load(std::memory_order_relaxed);
  if (!IsRetryable(why) || !wait_for_it || failed_calls_ >= environment_.retry.max_attempts) {
    abort_ = why;
    return;
  }
  // Translating changes nothing on the server, so what was not answered can be asked again.
  open_after_ = absl::Now() + WaitAfter(environment_.retry, failed_calls_, why);
  for (auto& [index, item] : items_) {
    if (item.sent) to_send_.emplace(item.send_after, index);
    item.sent = false;
  }
}

absl::Time StreamSession::NextWakeUp() const {
  absl::Time wake_up = absl::InfiniteFuture();
  if (abort_) return wake_up;
  if (call_ == nullptr) {
    if (!to_send_.empty()) wake_up = open_after_;
  } else {
    const bool can_write = !call_->writing && !call_->broken && !call_->writes_done;
    if (can_write && !to_send_.empty()) wake_up = to_send_.begin()->first;
    if (InFlight() > 0) wake_up = std::min(wake_up, last_progress_ + environment_.timeout);
  }
  return wake_up;
}

}  // namespace petit::client
