#include "server/rpc/translate_request.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/rpc/paragraphs.h"

namespace petit::serving {
namespace {

absl::StatusOr<PreparedText> PrepareParagraphs(const TranslationPlan& plan, const RequestLimits& limits,
                                               std::string_view text) {
  const std::vector<Paragraph> paragraphs = SplitParagraphs(text);
  std::vector<bool> blank(paragraphs.size());
  std::transform(paragraphs.begin(), paragraphs.end(), blank.begin(),
                 [](const Paragraph& paragraph) { return IsBlank(paragraph.text); });
  const auto written = std::count(blank.begin(), blank.end(), false);
  const int queue = plan.model->settings.batching.max_queue_length;
  if (written > queue) {
    return absl::InvalidArgumentError(
        absl::StrCat("the text has ", written, " paragraphs; this model takes at most ", queue, " at a time"));
  }
  PreparedText prepared;
  for (std::size_t i = 0; i < paragraphs.size(); ++i) {
    PreparedText::Part part{.source = -1, .newline = std::string(paragraphs[i].newline)};
    if (!blank[i]) {
      const std::string name = paragraphs.size() == 1 ? "text" : absl::StrCat("text's paragraph ", i + 1);
      absl::StatusOr<tokenizer::Encoded> source =
          EncodeSource(*plan.model, plan.prompt, limits, name, paragraphs[i].text);
      if (!source.ok()) return source.status();
      part.source = static_cast<int>(prepared.sources.size());
      prepared.source_tokens += static_cast<int>(source->ids.size());
      prepared.unknown_source_tokens += source->unknown;
      prepared.sources.push_back(std::move(source->ids));
    }
    prepared.parts.push_back(std::move(part));
  }
  return prepared;
}

// What the sequences of one call share until the last of them is done.
struct Gathering {
  std::vector<SequenceResults> results;
  std::atomic<std::size_t> missing = 0;
  std::function<void(std::vector<SequenceResults>)> done;
};

std::uint64_t RandomSeed() {
  thread_local absl::BitGen generator;
  return absl::Uniform<std::uint64_t>(generator);
}

v1::FinishReason ToProto(decoding::FinishReason reason) {
  return reason == decoding::FinishReason::kEos ? v1::FINISH_REASON_EOS : v1::FINISH_REASON_LENGTH;
}

void SetDuration(absl::Duration duration, google::protobuf::Duration* proto) {
  const std::int64_t nanoseconds = absl::ToInt64Nanoseconds(std::max(duration, absl::ZeroDuration()));
  proto->set_seconds(nanoseconds / 1'000'000'000);
  proto->set_nanos(static_cast<std::int32_t>(nanoseconds % 1'000'000'000));
}

// Σ log-probabilities / tokens ^ length_penalty over the best hypotheses, as if they were one.
float JoinedScore(const SequenceResults& results, float length_penalty) {
  if (results.size() == 1) return results[0]->hypotheses[0].score;
  double sum = 0;
  std::size_t tokens = 0;
  for (const auto& result : results) {
    const std::vector<float>& log_probs = result->hypotheses[0].token_log_probs;
    sum = std::accumulate(log_probs.begin(), log_probs.end(), sum);
    tokens += log_probs.size();
  }
  return tokens == 0 ? 0.0F : static_cast<float>(sum / std::pow(static_cast<double>(tokens), length_penalty));
}

v1::Timing LongestTiming(const SequenceResults& results) {
  engine::SequenceTiming longest;
  for (const auto& result : results) {
    longest.queue = std::max(longest.queue, result->timing.queue);
    longest.encode = std::max(longest.encode, result->timing.encode);
    longest.first_token = std::max(longest.first_token, result->timing.first_token);
    longest.total = std::max(longest.total, result->timing.total);
  }
  v1::Timing timing;
  SetDuration(longest.queue, timing.mutable_queue());
  SetDuration(longest.encode, timing.mutable_encode());
  SetDuration(longest.first_token, timing.mutable_first_token());
  SetDuration(longest.total, timing.mutable_total());
  return timing;
}

std::string JoinedText(const TranslationPlan& plan, const PreparedText& text, const SequenceResults& results) {
  const tokenizer::Tokenizer& tokenizer = *plan.model->tokenizer;
  if (text.parts.empty()) return tokenizer.Decode(results[0]->hypotheses[0].ids);
  std::string joined;
  for (const PreparedText::Part& part : text.parts) {
    if (part.source >= 0) absl::StrAppend(&joined, tokenizer.Decode(results[part.source]->hypotheses[0].ids));
    absl::StrAppend(&joined, part.newline);
  }
  return joined;
}

}  // namespace

absl::StatusOr<tokenizer::Encoded> EncodeSource(const ServedModel& model, const std::string& prompt,
                                                const RequestLimits& limits, const std::string& name,
                                                std::string_view text) {
  if (text.size() > static_cast<std::size_t>(limits.max_text_bytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the ", name, " has ", text.size(), " bytes; at most ", limits.max_text_bytes, " are allowed"));
  }
  if (IsBlank(text)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the ", name, " is empty", text.empty() ? "" : " but for white space", "; it must have words"));
  }
  tokenizer::Encoded encoded = model.tokenizer->Encode(std::string(prompt).append(text));
  if (encoded.ids.size() > static_cast<std::size_t>(model.settings.max_source_tokens)) {
    return absl::InvalidArgumentError(absl::StrCat("the ", name, " has ", encoded.ids.size(),
                                                   " tokens with its prompt; this model takes ",
                                                   model.settings.max_source_tokens));
  }
  return encoded;
}

absl::StatusOr<PreparedText> PrepareText(const TranslationPlan& plan, const RequestLimits& limits,
                                         std::string_view text) {
  // The whole text's checks come first: a long one must not be cut into many good paragraphs.
  if (plan.split_paragraphs && text.size() <= static_cast<std::size_t>(limits.max_text_bytes) && !IsBlank(text)) {
    return PrepareParagraphs(plan, limits, text);
  }
  absl::StatusOr<tokenizer::Encoded> source = EncodeSource(*plan.model, plan.prompt, limits, "text", text);
  if (!source.ok()) return source.status();
  PreparedText prepared;
  prepared.source_tokens = static_cast<int>(source->ids.size());
  prepared.unknown_source_tokens = source->unknown;
  prepared.sources.push_back(std::move(source->ids));
  return prepared;
}

absl::Status SubmitTexts(const TranslationPlan& plan, absl::Span<const PreparedText* const> texts,
                         const SubmitOptions& options, std::function<void(std::vector<SequenceResults>)> done) {
  auto gathering = std::make_shared<Gathering>();
  gathering->done = std::move(done);
  std::vector<engine::SequenceRequest> requests;
  for (std::size_t t = 0; t < texts.size(); ++t) {
    gathering->results.emplace_back(texts[t]->sources.size(), absl::UnknownError("not done"));
    for (std::size_t s = 0; s < texts[t]->sources.size(); ++s) {
      requests.push_back({.source_ids = texts[t]->sources[s],
                          .options = plan.decoding,
                          .sequence_index = s,
                          .deadline = options.deadline,
                          .cancelled = options.cancelled,
                          .flow = options.flow,
                          .done = [gathering, t, s](absl::StatusOr<engine::SequenceResult> result) {
                            gathering->results[t][s] = std::move(result);
                            if (gathering->missing.fetch_sub(1) == 1) gathering->done(std::move(gathering->results));
                          }});
      if (plan.random_seed) requests.back().options.seed = RandomSeed();
    }
  }
  const int queue = plan.model->settings.batching.max_queue_length;
  if (requests.size() > static_cast<std::size_t>(queue)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the request has ", requests.size(), " texts (paragraphs count each); the queue of model \"",
                     plan.model->settings.name, "\" takes ", queue, "; send fewer at a time, or stream them"));
  }
  gathering->missing = requests.size();
  return plan.model->replicas->Submit(std::move(requests));
}

absl::StatusOr<v1::Translation> MakeTranslation(const TranslationPlan& plan, const PreparedText& text,
                                                const SequenceResults& results) {
  for (const auto& result : results) {
    if (!result.ok()) return result.status();
    if (result->hypotheses.empty()) return absl::InternalError("the decoder returned no hypothesis");
  }
  v1::Translation translation;
  translation.set_text(JoinedText(plan, text, results));
  translation.set_score(JoinedScore(results, plan.decoding.length_penalty));
  translation.set_finish_reason(v1::FINISH_REASON_EOS);
  int target_tokens = 0;
  for (const auto& result : results) {
    const decoding::Hypothesis& best = result->hypotheses[0];
    target_tokens += static_cast<int>(best.token_log_probs.size());
    if (best.finish_reason == decoding::FinishReason::kLength) {
      translation.set_finish_reason(v1::FINISH_REASON_LENGTH);
    }
  }
  translation.set_source_tokens(text.source_tokens);
  translation.set_target_tokens(target_tokens);
  translation.set_unknown_source_tokens(text.unknown_source_tokens);
  if (plan.num_alternatives > 1) {
    for (const decoding::Hypothesis& hypothesis : results[0]->hypotheses) {
      v1::Alternative* alternative = translation.add_alternatives();
      alternative->set_text(plan.model->tokenizer->Decode(hypothesis.ids));
      alternative->set_score(hypothesis.score);
      alternative->set_finish_reason(ToProto(hypothesis.finish_reason));
      alternative->set_target_tokens(static_cast<int>(hypothesis.token_log_probs.size()));
    }
  }
  translation.set_model(plan.model->settings.name);
  translation.set_model_version(plan.model->version);
  translation.set_model_digest(plan.model->digest);
  *translation.mutable_timing() = LongestTiming(results);
  return translation;
}

}  // namespace petit::serving
