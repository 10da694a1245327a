#include "server/rpc/translate_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/message_io.h"
#include "server/rpc/status.h"

namespace petit::serving {
namespace {

// What a call fails with when all its texts did.
absl::Status AllFailed(const absl::Status& first, std::size_t texts) {
  if (texts == 1) return first;
  return {first.code(), absl::StrCat("all ", texts, " texts failed; texts[0]: ", first.message())};
}

}  // namespace

grpc::ServerUnaryReactor* TranslateCall::Start(const Environment& environment, grpc::CallbackServerContext* context,
                                               const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  const std::shared_ptr<TranslateCall> call(new TranslateCall(environment, context, response));
  call->self_ = call;
  if (absl::Status status = call->Begin(*request); !status.ok()) {
    call->Finish(call->context_.Finish(std::move(status)));
  }
  return call.get();
}

void TranslateCall::OnCancel() {
  context_.Cancel();
  if (plan_) plan_->model->replica->NotifyCancelled();
}

absl::Status TranslateCall::Begin(const grpc::ByteBuffer& bytes) {
  if (absl::Status status = context_.CheckAccepting(); !status.ok()) return status;
  v1::TranslateRequest request;
  if (absl::Status status = ParseMessage(bytes, &request); !status.ok()) return status;
  const RequestLimits& limits = context_.environment().limits;
  const absl::StatusOr<ModelReference> reference = ParseModelReference(request.options().model());
  if (!reference.ok()) return reference.status();
  context_.set_model(reference->name);
  context_.add_texts(request.texts_size());
  absl::StatusOr<ModelHandle> model = context_.environment().registry->Acquire(reference->name, reference->version);
  if (!model.ok()) return model.status();
  absl::StatusOr<TranslationPlan> plan = MakePlan(request.options(), *std::move(model), limits);
  if (!plan.ok()) return plan.status();
  plan_ = *std::move(plan);
  if (request.texts().empty()) return absl::InvalidArgumentError("texts is empty; send at least one text");
  if (request.texts_size() > limits.max_texts_per_request) {
    return absl::InvalidArgumentError(absl::StrCat("texts has ", request.texts_size(), " entries; at most ",
                                                   limits.max_texts_per_request,
                                                   " are allowed; send fewer at a time, or stream them"));
  }
  texts_.reserve(request.texts_size());
  for (const std::string& text : request.texts()) texts_.push_back(PrepareText(*plan_, limits, text));
  return Submit();
}

absl::Status TranslateCall::Submit() {
  std::vector<const PreparedText*> good;
  for (const absl::StatusOr<PreparedText>& text : texts_) {
    if (text.ok()) good.push_back(&*text);
  }
  if (good.empty()) return AllFailed(texts_[0].status(), texts_.size());
  counted_.emplace(context_.environment().traffic, static_cast<int>(good.size()));
  absl::Status status =
      SubmitTexts(*plan_, good, {.deadline = context_.deadline(), .cancelled = context_.cancel_flag()},
                  [self = shared_from_this()](std::vector<SequenceResults> results) {
                    auto shared = std::make_shared<std::vector<SequenceResults>>(std::move(results));
                    self->context_.environment().responders->Post([self, shared] { self->Answer(*shared); });
                  });
  if (status.ok()) counted_->Accept();
  return status;
}

void TranslateCall::Answer(const std::vector<SequenceResults>& results) {
  v1::TranslateResponse response;
  absl::Status first_error;
  int failed = 0;
  std::size_t next = 0;
  for (const absl::StatusOr<PreparedText>& text : texts_) {
    absl::StatusOr<v1::Translation> translation =
        text.ok() ? MakeTranslation(*plan_, *text, results[next++]) : text.status();
    v1::TranslationResult* result = response.add_results();
    if (translation.ok()) {
      *result->mutable_translation() = *std::move(translation);
      continue;
    }
    *result->mutable_error() = ToRpcStatus(translation.status());
    if (failed++ == 0) first_error = translation.status();
  }
  const bool all_failed = static_cast<std::size_t>(failed) == texts_.size();
  if (!all_failed) *response_ = SerializeMessage(response);
  counted_->Answer();
  Finish(context_.Finish(all_failed ? AllFailed(first_error, texts_.size()) : absl::OkStatus()));
}

}  // namespace petit::serving
