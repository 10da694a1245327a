#include "server/rpc/score_call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/message_io.h"
#include "server/rpc/status.h"
#include "server/rpc/translate_request.h"

namespace petit::serving {
namespace {

constexpr absl::Duration kFirstRetryDelay = absl::Milliseconds(5);
constexpr absl::Duration kLongestRetryDelay = absl::Milliseconds(50);

}  // namespace

grpc::ServerUnaryReactor* ScoreCall::Start(const Environment& environment, grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  const std::shared_ptr<ScoreCall> call(new ScoreCall(environment, context, response));
  call->self_ = call;
  if (absl::Status status = call->Begin(*request); !status.ok()) {
    call->Finish(call->context_.Finish(std::move(status)));
  } else {
    call->Pump();
  }
  return call.get();
}

absl::Status ScoreCall::Begin(const grpc::ByteBuffer& bytes) {
  if (absl::Status status = context_.CheckAccepting(); !status.ok()) return status;
  if (absl::Status status = ParseMessage(bytes, &request_); !status.ok()) return status;
  absl::StatusOr<Scorer> model = FindScorer(request_.model());
  if (!model.ok()) return model.status();
  model_ = *std::move(model);
  context_.set_model(model_.model->settings.name);
  context_.add_texts(request_.pairs_size());
  if (!request_.reference_model().empty()) {
    absl::StatusOr<Scorer> reference = FindScorer(request_.reference_model());
    if (!reference.ok()) {
      return {reference.status().code(), absl::StrCat("reference_model: ", reference.status().message())};
    }
    reference_ = *std::move(reference);
    if (absl::Status status = CheckSameVocabulary(); !status.ok()) return status;
  }
  if (request_.pairs().empty()) return absl::InvalidArgumentError("pairs is empty; send at least one pair");
  const int most = context_.environment().limits.max_texts_per_request;
  if (request_.pairs_size() > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("pairs has ", request_.pairs_size(), " entries; at most ", most, " are allowed"));
  }
  absl::StatusOr<ClientLimiter::Texts> share = context_.TakeTexts(request_.pairs_size());
  if (!share.ok()) return share.status();
  share_ = *std::move(share);
  context_.environment().traffic->BeginPairs(request_.pairs_size());
  const absl::MutexLock lock(&mutex_);
  results_.assign(request_.pairs_size(), absl::UnknownError("not done"));
  tickets_.assign(request_.pairs_size(), 0);
  return absl::OkStatus();
}

absl::StatusOr<ScoreCall::Scorer> ScoreCall::FindScorer(const std::string& model) {
  const Environment& environment = context_.environment();
  const absl::StatusOr<ModelReference> reference = ParseModelReference(model);
  if (!reference.ok()) return reference.status();
  if (model_.model == nullptr) context_.set_model(reference->name);  // a failure is counted under its name
  absl::StatusOr<ModelHandle> handle = environment.registry->Acquire(reference->name, reference->version);
  if (!handle.ok()) return handle.status();
  absl::StatusOr<std::string> prompt =
      ChoosePrompt((*handle)->settings, request_.source_language(), request_.target_language(),
                   request_.has_prompt_override() ? &request_.prompt_override() : nullptr, environment.limits);
  if (!prompt.ok()) return prompt.status();
  return Scorer{.model = *std::move(handle), .prompt = *std::move(prompt)};
}

absl::Status ScoreCall::CheckSameVocabulary() const {
  const int mine = model_.model->info.distribution_size;
  const int theirs = reference_.model->info.distribution_size;
  if (mine == theirs && model_.model->tokenizer->size() == reference_.model->tokenizer->size()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("reference_model has a vocabulary of ", theirs, " ids, model one of ", mine,
                   "; a divergence is defined only between models with the same vocabulary"));
}

void ScoreCall::Pump() {
  while (true) {
    int index = 0;
    {
      const absl::MutexLock lock(&mutex_);
      const bool more = next_pair_ < request_.pairs_size() && !context_.cancelled();
      if (!more || in_flight_ >= kPairsInFlight) {
        if (more || in_flight_ > 0 || ended_) return;
        ended_ = true;
        break;
      }
      index = next_pair_++;
      ++in_flight_;
    }
    const absl::StatusOr<PairPtr> pair = Prepare(index);
    if (pair.ok()) {
      StartPair(*pair);
      continue;
    }
    const absl::MutexLock lock(&mutex_);
    results_[index] = pair.status();
    --in_flight_;
  }
  End();
}

absl::StatusOr<ScoreCall::PairPtr> ScoreCall::Prepare(int index) const {
  const RequestLimits& limits = context_.environment().limits;
  const v1::ScorePair& texts = request_.pairs(index);
  auto pair = std::make_shared<Pair>();
  pair->index = index;
  pair->retry_delay = kFirstRetryDelay;
  absl::StatusOr<tokenizer::Encoded> source =
      EncodeSource(*model_.model, model_.prompt, limits, "source", texts.source());
  if (!source.ok()) return source.status();
  pair->source_ids = std::move(source->ids);
  if (texts.target().size() > static_cast<std::size_t>(limits.max_text_bytes)) {
    return absl::InvalidArgumentError(absl::StrCat("the target has ", texts.target().size(), " bytes; at most ",
                                                   limits.max_text_bytes, " are allowed"));
  }
  pair->target_ids = model_.model->tokenizer->Encode(texts.target()).ids;
  const int most = model_.model->settings.max_new_tokens_limit;
  if (pair->target_ids.size() > static_cast<std::size_t>(most)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the target has ", pair->target_ids.size(), " tokens; this model takes ", most));
  }
  if (!has_reference() || same_model()) return pair;
  absl::StatusOr<tokenizer::Encoded> reference_source = EncodeSource(
      *reference_.model, reference_.prompt, limits, "source (as the reference model reads it)", texts.source());
  if (!reference_source.ok()) return reference_source.status();
  pair->reference_source_ids = std::move(reference_source->ids);
  if (reference_.model->tokenizer->Encode(texts.target()).ids != pair->target_ids) {
    return absl::InvalidArgumentError(
        "the model and the reference model cut the target into different tokens; their vocabularies differ");
  }
  return pair;
}

void ScoreCall::StartPair(const PairPtr& pair) {
  if (has_reference() && !same_model()) {
    AcquireBudget(pair);
  } else {
    Submit(pair, /*to_reference=*/false);
  }
}

void ScoreCall::AcquireBudget(const PairPtr& pair) {
  const Environment& environment = context_.environment();
  const auto tokens = static_cast<std::int64_t>(pair->target_ids.size());
  const std::int64_t bytes =
      tokens * reference_.model->info.distribution_size * static_cast<std::int64_t>(sizeof(float));
  if (bytes > environment.score_budget->total()) {
    return Complete(pair->index, absl::InvalidArgumentError(absl::StrCat(
                                     "the target's ", tokens, " tokens need ", bytes,
                                     " bytes of reference log-probabilities; this server holds at most ",
                                     environment.score_budget->total(), " (limits.max_score_buffer_bytes)")));
  }
  // A grant may come from within another pair's release: what follows runs on a thread of its own.
  const absl::StatusOr<ByteBudget::Ticket> ticket =
      environment.score_budget->Acquire(bytes, [self = shared_from_this(), pair](ByteBudget::Lease lease) {
        auto shared = std::make_shared<ByteBudget::Lease>(std::move(lease));
        self->context_.environment().responders->Post(
            [self, pair, shared] { self->OnBudget(pair, std::move(*shared)); });
      });
  if (!ticket.ok()) return Complete(pair->index, ticket.status());
  {
    const absl::MutexLock lock(&mutex_);
    tickets_[pair->index] = *ticket;
  }
  // OnCancel may have looked before the ticket was there.
  if (context_.cancelled() && environment.score_budget->Cancel(*ticket)) {
    Complete(pair->index, context_.CancelledStatus());
  }
}

void ScoreCall::OnBudget(const PairPtr& pair, ByteBudget::Lease lease) {
  pair->lease = std::move(lease);
  Submit(pair, /*to_reference=*/true);
}

void ScoreCall::Submit(const PairPtr& pair, bool to_reference) {
  if (context_.cancelled()) return Complete(pair->index, context_.CancelledStatus());
  WorkerPool* responders = context_.environment().responders;
  const Done done = to_reference ? &ScoreCall::OnReference : &ScoreCall::OnModel;
  engine::ScoreRequest request{
      .source_ids = to_reference ? pair->reference_source_ids : pair->source_ids,
      .target_ids = pair->target_ids,
      .want_log_probs = to_reference,
      .reference_log_probs = pair->reference_log_probs,
      .deadline = context_.deadline(),
      .cancelled = context_.cancel_flag(),
      .flow = context_.flow(),
      .done = [self = shared_from_this(), pair, responders, done](absl::StatusOr<engine::ScoreResult> result) {
        auto shared = std::make_shared<absl::StatusOr<engine::ScoreResult>>(std::move(result));
        responders->Post([self, pair, shared, done] { ((*self).*done)(pair, std::move(*shared)); });
      }};
  const Scorer& scorer = to_reference ? reference_ : model_;
  const absl::Status status = scorer.model->replicas->SubmitScore(std::move(request));
  if (status.ok()) return;
  if (!absl::IsResourceExhausted(status)) return Complete(pair->index, status);
  const absl::Duration delay = pair->retry_delay;
  pair->retry_delay = std::min(2 * delay, kLongestRetryDelay);
  responders->PostAfter(delay, [self = shared_from_this(), pair, to_reference] { self->Submit(pair, to_reference); });
}

void ScoreCall::OnReference(const PairPtr& pair, absl::StatusOr<engine::ScoreResult> result) {
  if (!result.ok()) return Complete(pair->index, result.status());
  pair->reference_log_probs = std::make_shared<const std::vector<float>>(std::move(result->log_probs));
  pair->retry_delay = kFirstRetryDelay;
  Submit(pair, /*to_reference=*/false);
}

void ScoreCall::OnModel(const PairPtr& pair, absl::StatusOr<engine::ScoreResult> result) {
  // The memory goes before the room for it.
  pair->reference_log_probs = nullptr;
  pair->lease.Release();
  if (!result.ok()) return Complete(pair->index, result.status());
  v1::PairScore score;
  score.mutable_target_ids()->Add(pair->target_ids.begin(), pair->target_ids.end());
  score.mutable_token_log_probs()->Add(result->token_log_probs.begin(), result->token_log_probs.end());
  if (has_reference() && same_model()) {
    score.mutable_token_kl()->Resize(score.target_ids_size(), 0.0F);
  } else {
    score.mutable_token_kl()->Add(result->kl.begin(), result->kl.end());
  }
  Complete(pair->index, score);
}

void ScoreCall::Complete(int index, const absl::StatusOr<v1::PairScore>& score) {
  {
    const absl::MutexLock lock(&mutex_);
    results_[index] = score;
    tickets_[index] = 0;
    --in_flight_;
  }
  // Not from here, which may be inside Pump already: the stack would grow with the pairs.
  context_.environment().responders->Post([self = shared_from_this()] { self->Pump(); });
}

void ScoreCall::OnCancel() {
  context_.Cancel();
  for (const Scorer* scorer : {&model_, &reference_}) {
    if (scorer->model != nullptr) scorer->model->replicas->NotifyCancelled();
  }
  std::vector<ByteBudget::Ticket> tickets;
  {
    const absl::MutexLock lock(&mutex_);
    tickets = tickets_;
  }
  for (std::size_t i = 0; i < tickets.size(); ++i) {
    if (tickets[i] != 0 && context_.environment().score_budget->Cancel(tickets[i])) {
      Complete(static_cast<int>(i), context_.CancelledStatus());
    }
  }
}

void ScoreCall::End() {
  share_.Release();
  v1::ScoreResponse response;
  absl::Status first_error;
  int failed = 0;
  {
    const absl::MutexLock lock(&mutex_);
    for (absl::StatusOr<v1::PairScore>& score : results_) {
      v1::ScoreResult* result = response.add_results();
      if (score.ok()) {
        *result->mutable_score() = *std::move(score);
        continue;
      }
      *result->mutable_error() = ToRpcStatus(score.status());
      if (failed++ == 0) first_error = score.status();
    }
  }
  context_.environment().traffic->EndPairs(response.results_size(), response.results_size() - failed);
  if (failed == response.results_size()) {
    if (failed > 1) {
      first_error = {first_error.code(),
                     absl::StrCat("all ", failed, " pairs failed; pairs[0]: ", first_error.message())};
    }
    Finish(context_.Finish(std::move(first_error)));
    return;
  }
  *response_ = SerializeMessage(response);
  Finish(context_.Finish(absl::OkStatus()));
}

}  // namespace petit::serving
