#include "server/rpc/translate_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/status.h"

namespace petit::serving {

grpc::ServerUnaryReactor* TranslateCall::Start(std::unique_ptr<TranslateFormat> format, const Environment& environment,
                                               grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                               grpc::ByteBuffer* response) {
  const std::shared_ptr<TranslateCall> call(new TranslateCall(std::move(format), environment, context, response));
  call->self_ = call;
  if (absl::Status status = call->Begin(*request); !status.ok()) {
    call->Finish(call->context_.Finish(std::move(status)));
  }
  return call.get();
}

void TranslateCall::OnCancel() {
  context_.Cancel();
  if (plan_) plan_->model->replicas->NotifyCancelled();
}

absl::Status TranslateCall::Begin(const grpc::ByteBuffer& bytes) {
  if (absl::Status status = context_.CheckAccepting(); !status.ok()) return status;
  v1::TranslateRequest request;
  if (absl::Status status = format_->Parse(bytes, &request); !status.ok()) return status;
  const RequestLimits& limits = context_.environment().limits;
  const absl::StatusOr<ModelReference> reference = ParseModelReference(request.options().model());
  if (!reference.ok()) return reference.status();
  context_.set_model(reference->name);
  context_.add_texts(request.texts_size());
  absl::StatusOr<ModelHandle> model = context_.environment().registry->Acquire(reference->name, reference->version);
  if (!model.ok()) return model.status();
  format_->Complete((*model)->settings, request.mutable_options());
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

absl::Status TranslateCall::StatusOf(std::size_t failed, std::size_t first, const absl::Status& error) const {
  if (failed == 0 || (failed < texts_.size() && !format_->all_or_nothing())) return absl::OkStatus();
  if (texts_.size() == 1) return error;
  const std::string which = failed == texts_.size() ? absl::StrCat("all ", failed, " texts failed; ") : "";
  return {error.code(), absl::StrCat(which, "texts[", first, "]: ", error.message())};
}

absl::Status TranslateCall::Submit() {
  std::vector<const PreparedText*> good;
  std::size_t first_bad = texts_.size();
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    if (texts_[i].ok()) {
      good.push_back(&*texts_[i]);
    } else if (first_bad == texts_.size()) {
      first_bad = i;
    }
  }
  if (first_bad < texts_.size()) {
    absl::Status status = StatusOf(texts_.size() - good.size(), first_bad, texts_[first_bad].status());
    if (!status.ok()) return status;
  }
  absl::StatusOr<ClientLimiter::Texts> share = context_.TakeTexts(static_cast<int>(good.size()));
  if (!share.ok()) return share.status();
  share_ = *std::move(share);
  counted_.emplace(context_.environment().traffic, static_cast<int>(good.size()));
  absl::Status status = SubmitTexts(
      *plan_, good, {.deadline = context_.deadline(), .cancelled = context_.cancel_flag(), .flow = context_.flow()},
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
  std::size_t first_failed = 0;
  std::size_t failed = 0;
  std::size_t next = 0;
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    absl::StatusOr<v1::Translation> translation =
        texts_[i].ok() ? MakeTranslation(*plan_, *texts_[i], results[next++]) : texts_[i].status();
    v1::TranslationResult* result = response.add_results();
    if (translation.ok()) {
      *result->mutable_translation() = *std::move(translation);
      continue;
    }
    *result->mutable_error() = ToRpcStatus(translation.status());
    if (failed++ > 0) continue;
    first_failed = i;
    first_error = translation.status();
  }
  absl::Status status = StatusOf(failed, first_failed, first_error);
  if (status.ok()) *response_ = format_->Answer(response);
  counted_->Answer();
  share_.Release();
  Finish(context_.Finish(std::move(status)));
}

}  // namespace petit::serving
