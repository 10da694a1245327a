#include "server/rpc/stream_call.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/rpc/message_io.h"
#include "server/rpc/status.h"
#include "server/rpc/wire_check.h"

namespace petit::serving {
namespace {

constexpr absl::Duration kFirstRetryDelay = absl::Milliseconds(5);
constexpr absl::Duration kLongestRetryDelay = absl::Milliseconds(200);

// Parses a message. Where only its text is bad UTF-8, the rest is parsed, and the problem is the text's alone.
absl::Status Parse(const grpc::ByteBuffer& bytes, v1::StreamTranslateRequest* message, absl::Status* text_problem) {
  absl::Status status = ParseMessage(bytes, message);
  if (status.ok() || !bytes.Valid()) return status;
  const std::string wire = ToString(bytes);
  if (FindWireProblem(wire, *message->GetDescriptor()).field != "text") return status;
  constexpr int kText = v1::StreamTranslateRequest::kTextFieldNumber;
  if (!message->ParseFromString(WithoutField(wire, kText))) return status;
  *text_problem = std::move(status);
  return absl::OkStatus();
}

}  // namespace

StreamCall::Reactor* StreamCall::Start(const Environment& environment, grpc::CallbackServerContext* context) {
  const std::shared_ptr<StreamCall> call(new StreamCall(environment, context));
  call->self_ = call;
  environment.calls->AddStream(call);
  const absl::MutexLock lock(&call->mutex_);
  call->last_active_ = absl::Now();
  if (absl::Status status = call->context_.CheckAccepting(); !status.ok()) call->end_ = std::move(status);
  call->Advance();
  return call.get();
}

void StreamCall::OnReadDone(bool ok) {
  if (ok) {
    const absl::MutexLock lock(&mutex_);
    taking_ = true;
  }
  absl::Status status;
  if (ok) status = TakeMessage();
  const absl::MutexLock lock(&mutex_);
  reading_ = false;
  taking_ = false;
  last_active_ = absl::Now();
  if ((!ok || !status.ok()) && !end_) end_ = std::move(status);
  Advance();
}

absl::Status StreamCall::TakeMessage() {
  v1::StreamTranslateRequest message;
  absl::Status text_problem;
  if (absl::Status status = Parse(incoming_, &message, &text_problem); !status.ok()) return status;
  if (message.has_options()) options_ = std::move(*message.mutable_options());
  if (!options_) return absl::InvalidArgumentError("the stream's first message must set options");
  absl::StatusOr<Plan> plan = FindPlan(message.has_options());
  if (!plan.ok()) return plan.status();
  if (!message.has_text() && text_problem.ok()) return absl::OkStatus();
  {
    const absl::MutexLock lock(&mutex_);
    ++open_texts_;
    context_.add_texts(1);
  }
  absl::StatusOr<PreparedText> prepared = PreparedText();
  if (text_problem.ok()) prepared = PrepareText(**plan, context_.environment().limits, message.text());
  if (!text_problem.ok() || !prepared.ok()) {
    Respond(message.id(), text_problem.ok() ? prepared.status() : text_problem);
    return absl::OkStatus();
  }
  auto text = std::make_shared<Text>();
  text->id = message.id();
  text->plan = *std::move(plan);
  text->prepared = *std::move(prepared);
  text->retry_delay = kFirstRetryDelay;
  text->counted.emplace(context_.environment().traffic, 1);
  Submit(text);
  return absl::OkStatus();
}

absl::StatusOr<StreamCall::Plan> StreamCall::FindPlan(bool new_options) {
  const absl::StatusOr<ModelReference> reference = ParseModelReference(options_->model());
  if (!reference.ok()) return reference.status();
  Plan current;
  {
    const absl::MutexLock lock(&mutex_);
    context_.set_model(reference->name);
    if (!new_options) current = plan_;
  }
  absl::StatusOr<ModelHandle> model = context_.environment().registry->Acquire(reference->name, reference->version);
  // An unloaded model goes on for those who use it.
  if (current != nullptr && (!model.ok() || *model == current->model)) return current;
  if (!model.ok()) return model.status();
  absl::StatusOr<TranslationPlan> made = MakePlan(*options_, *std::move(model), context_.environment().limits);
  if (!made.ok()) return made.status();
  auto plan = std::make_shared<const TranslationPlan>(*std::move(made));
  const absl::MutexLock lock(&mutex_);
  plan_ = plan;
  return plan;
}

absl::Status StreamCall::TakeShare(Text* text) const {
  if (!text->requested) {
    if (absl::Status status = context_.TakeRequest(); !status.ok()) return status;
    text->requested = true;
  }
  absl::StatusOr<ClientLimiter::Texts> share = context_.environment().clients->TakeTexts(context_.client(), 1);
  if (!share.ok()) return share.status();
  text->share = *std::move(share);
  return absl::OkStatus();
}

void StreamCall::Submit(const std::shared_ptr<Text>& text) {
  if (const absl::Status status = TakeShare(text.get()); !status.ok()) {
    return Wait(text, RetryAfter(status));
  }
  WorkerPool* responders = context_.environment().responders;
  const PreparedText* prepared = &text->prepared;
  absl::Status status =
      SubmitTexts(*text->plan, {&prepared, 1},
                  {.deadline = context_.deadline(), .cancelled = context_.cancel_flag(), .flow = context_.flow()},
                  [self = shared_from_this(), text, responders](std::vector<SequenceResults> results) {
                    auto shared = std::make_shared<SequenceResults>(std::move(results[0]));
                    responders->Post([self, text, shared] {
                      absl::StatusOr<v1::Translation> made = MakeTranslation(*text->plan, text->prepared, *shared);
                      text->counted->Answer();
                      text->share.Release();
                      self->Respond(text->id, std::move(made));
                      self->Retry();
                    });
                  });
  if (status.ok()) return text->counted->Accept();
  text->share.Release();
  if (!absl::IsResourceExhausted(status)) return Respond(text->id, std::move(status));
  Wait(text, std::nullopt);
}

void StreamCall::Wait(const std::shared_ptr<Text>& text, std::optional<absl::Duration> known_delay) {
  const absl::Duration delay = known_delay.value_or(text->retry_delay);
  if (!known_delay) text->retry_delay = std::min(2 * delay, kLongestRetryDelay);
  {
    const absl::MutexLock lock(&mutex_);
    waiting_ = text;
  }
  context_.environment().responders->PostAfter(delay, [self = shared_from_this()] { self->Retry(); });
}

void StreamCall::Retry() {
  std::shared_ptr<Text> text;
  {
    const absl::MutexLock lock(&mutex_);
    if (waiting_ == nullptr || retrying_) return;
    text = std::exchange(waiting_, nullptr);
    if (context_.cancelled()) {
      --open_texts_;
      return Advance();
    }
    retrying_ = true;  // nothing is read meanwhile: there is room for one waiting text
  }
  Submit(text);
  const absl::MutexLock lock(&mutex_);
  retrying_ = false;
  Advance();
}

void StreamCall::Respond(std::int64_t id, absl::StatusOr<v1::Translation> outcome) {
  v1::StreamTranslateResponse response;
  response.set_id(id);
  if (outcome.ok()) {
    *response.mutable_result()->mutable_translation() = *std::move(outcome);
  } else {
    *response.mutable_result()->mutable_error() = ToRpcStatus(outcome.status());
  }
  grpc::ByteBuffer bytes = SerializeMessage(response);
  const absl::MutexLock lock(&mutex_);
  answers_.push_back(std::move(bytes));
  Advance();
}

void StreamCall::OnWriteDone(bool /*ok*/) {
  const absl::MutexLock lock(&mutex_);
  writing_ = false;
  outgoing_.Clear();
  --open_texts_;
  last_active_ = absl::Now();
  Advance();
}

void StreamCall::OnCancel() {
  context_.Cancel();
  const absl::MutexLock lock(&mutex_);
  if (plan_ != nullptr) plan_->model->replicas->NotifyCancelled();
  if (!end_) end_ = context_.CancelledStatus();
  if (std::exchange(waiting_, nullptr) != nullptr) --open_texts_;
  Advance();
}

void StreamCall::Tick(absl::Time now, DrainPhase phase) {
  const absl::MutexLock lock(&mutex_);
  if (finished_) return;
  const bool quiet = !taking_ && open_texts_ == 0;
  const absl::Duration idle = now - last_active_;
  if (quiet && idle >= kPinIdle) plan_ = nullptr;
  const bool idle_in_drain = phase == DrainPhase::kPatient && quiet && idle >= kDrainIdle;
  if ((idle_in_drain || phase == DrainPhase::kClosing) && !end_) {
    end_ = absl::UnavailableError(
        "the server is draining; send what has no answer to another one, or again later, on a new stream");
    Advance();
  }
}

void StreamCall::Advance() {
  if (finished_) return;
  if (context_.cancelled()) {
    open_texts_ -= static_cast<int>(answers_.size());
    answers_.clear();
  }
  if (!writing_ && !answers_.empty()) {
    outgoing_ = answers_.front();
    answers_.pop_front();
    writing_ = true;
    StartWrite(&outgoing_);
  }
  if (end_) {
    // A read may still be under way where the server ends the stream; gRPC then completes it with an error.
    if (open_texts_ > 0 || writing_ || taking_) return;
    finished_ = true;
    plan_ = nullptr;
    Finish(context_.Finish(*end_));
    return;
  }
  const bool room =
      waiting_ == nullptr && !retrying_ && open_texts_ < context_.environment().limits.max_stream_texts_in_flight;
  if (!reading_ && room) {
    reading_ = true;
    StartRead(&incoming_);
  }
}

}  // namespace petit::serving
