#include "server/rpc/translate_options.h"

#include <cmath>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace petit::serving {
namespace {

using DecodingProto = v1::DecodingOptions;

constexpr std::size_t kMaxNameBytes = 256;

// What a client sent, for a message: short names are quoted, long ones are not repeated.
std::string Quoted(const std::string& text) {
  return text.size() <= 64 ? absl::StrCat("\"", text, "\"") : absl::StrCat("(", text.size(), " bytes)");
}

absl::Status CheckFinite(const char* name, float value) {
  if (std::isfinite(value)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("decoding.", name, " is ", value, "; it must be a finite number"));
}

absl::StatusOr<decoding::EarlyStopping> ReadEarlyStopping(const DecodingProto& proto,
                                                          decoding::EarlyStopping configured) {
  switch (proto.early_stopping()) {
    case DecodingProto::EARLY_STOPPING_UNSPECIFIED:
      return configured;
    case DecodingProto::EARLY_STOPPING_FALSE:
      return decoding::EarlyStopping::kFalse;
    case DecodingProto::EARLY_STOPPING_TRUE:
      return decoding::EarlyStopping::kTrue;
    case DecodingProto::EARLY_STOPPING_NEVER:
      return decoding::EarlyStopping::kNever;
    default:
      return absl::InvalidArgumentError(absl::StrCat("decoding.early_stopping is ", proto.early_stopping(),
                                                     "; it must be 1 (FALSE), 2 (TRUE) or 3 (NEVER)"));
  }
}

// The message's set fields over the defaults; ranges are not looked at yet.
absl::Status Overlay(const DecodingProto& proto, decoding::DecodingOptions* options) {
  if (proto.has_max_new_tokens()) options->max_new_tokens = proto.max_new_tokens();
  if (proto.has_min_new_tokens()) options->min_new_tokens = proto.min_new_tokens();
  options->do_sample = proto.do_sample();
  // A model that is configured to search with beams may be asked for a sample all the same.
  if (proto.do_sample()) options->num_beams = 1;
  if (proto.has_num_beams()) options->num_beams = proto.num_beams();
  if (proto.has_length_penalty()) options->length_penalty = proto.length_penalty();
  if (proto.has_repetition_penalty()) options->repetition_penalty = proto.repetition_penalty();
  if (proto.has_no_repeat_ngram_size()) options->no_repeat_ngram_size = proto.no_repeat_ngram_size();
  if (proto.has_temperature()) options->temperature = proto.temperature();
  if (proto.has_top_k()) options->top_k = proto.top_k();
  if (proto.has_top_p()) options->top_p = proto.top_p();
  const absl::StatusOr<decoding::EarlyStopping> early = ReadEarlyStopping(proto, options->early_stopping);
  if (!early.ok()) return early.status();
  options->early_stopping = *early;
  for (const auto& [name, value] :
       {std::pair("length_penalty", options->length_penalty),
        std::pair("repetition_penalty", options->repetition_penalty), std::pair("temperature", options->temperature),
        std::pair("top_p", options->top_p)}) {
    if (absl::Status status = CheckFinite(name, value); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// The operator's bounds.
absl::Status CheckLimits(const decoding::DecodingOptions& options, const ModelSettings& settings) {
  if (options.max_new_tokens > settings.max_new_tokens_limit) {
    return absl::InvalidArgumentError(absl::StrCat("decoding.max_new_tokens is ", options.max_new_tokens, "; model \"",
                                                   settings.name, "\" allows at most ", settings.max_new_tokens_limit));
  }
  const struct {
    const char* name;
    int value;
    int limit;
  } rows[] = {{"decoding.num_beams", options.num_beams, settings.max_beams_limit},
              {"num_alternatives", options.num_return_sequences, settings.max_beams_limit},
              {options.do_sample ? "num_alternatives" : "decoding.num_beams", decoding::MaxRows(options),
               settings.batching.max_rows}};
  for (const auto& [name, value, limit] : rows) {
    if (value <= limit) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is ", value, "; model \"", settings.name, "\" allows at most ", limit));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelReference> ParseModelReference(const std::string& text) {
  if (text.empty()) return absl::InvalidArgumentError("model is empty; it must name a configured model");
  if (text.size() > kMaxNameBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("model has ", text.size(), " bytes; no model's name is longer than ", kMaxNameBytes));
  }
  const absl::Status malformed =
      absl::InvalidArgumentError(absl::StrCat("model is ", Quoted(text), "; it must be NAME or NAME/versions/NUMBER"));
  std::string_view rest = text;
  if (rest.starts_with("models/")) rest.remove_prefix(7);
  ModelReference reference;
  const std::size_t slash = rest.find('/');
  reference.name = rest.substr(0, slash);
  if (reference.name.empty()) return malformed;
  if (slash == std::string_view::npos) return reference;
  rest.remove_prefix(slash);
  constexpr std::string_view kVersions = "/versions/";
  if (!rest.starts_with(kVersions)) return malformed;
  rest.remove_prefix(kVersions.size());
  if (!absl::SimpleAtoi(absl::string_view(rest.data(), rest.size()), &reference.version) || reference.version <= 0)
    return malformed;
  return reference;
}

absl::StatusOr<std::string> ChoosePrompt(const ModelSettings& settings, const std::string& source_language,
                                         const std::string& target_language, const std::string* prompt_override,
                                         const RequestLimits& limits) {
  if (prompt_override != nullptr) {
    if (prompt_override->size() > static_cast<std::size_t>(limits.max_text_bytes)) {
      return absl::InvalidArgumentError(absl::StrCat("prompt_override has ", prompt_override->size(),
                                                     " bytes; at most ", limits.max_text_bytes, " are allowed"));
    }
    return *prompt_override;
  }
  std::vector<std::string> pairs;
  for (const Prompt& prompt : settings.prompts) {
    if (prompt.source_language == source_language && prompt.target_language == target_language) return prompt.prefix;
    pairs.push_back(absl::StrCat(prompt.source_language, " to ", prompt.target_language));
  }
  const std::string known = absl::StrCat("model \"", settings.name, "\" translates ", absl::StrJoin(pairs, ", "));
  if (source_language.empty() || target_language.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(source_language.empty() ? "source_language" : "target_language", " is empty; ", known));
  }
  return absl::InvalidArgumentError(absl::StrCat("source_language ", Quoted(source_language), " with target_language ",
                                                 Quoted(target_language), " is not configured; ", known));
}

absl::StatusOr<decoding::DecodingOptions> ResolveDecoding(const v1::TranslateOptions& request,
                                                          const ModelSettings& settings) {
  const DecodingProto& proto = request.decoding();
  decoding::DecodingOptions options = settings.default_decoding;
  if (absl::Status status = Overlay(proto, &options); !status.ok()) return status;
  const int alternatives = request.num_alternatives();
  if (alternatives < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("num_alternatives is ", alternatives, "; it must be 0 (the same as 1) or more"));
  }
  if (!options.do_sample && options.num_beams >= 1 && alternatives > options.num_beams) {
    return absl::InvalidArgumentError(absl::StrCat("num_alternatives is ", alternatives, "; with decoding.num_beams ",
                                                   options.num_beams, " it is at most ", options.num_beams));
  }
  options.num_return_sequences = alternatives == 0 ? 1 : alternatives;
  if (const std::optional<std::string> wrong = decoding::Validate(options); wrong.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("decoding: ", *wrong));
  }
  if (absl::Status status = CheckLimits(options, settings); !status.ok()) return status;
  if (proto.has_seed()) options.seed = proto.seed();
  return options;
}

absl::StatusOr<TranslationPlan> MakePlan(const v1::TranslateOptions& options, ModelHandle model,
                                         const RequestLimits& limits) {
  TranslationPlan plan;
  absl::StatusOr<std::string> prompt =
      ChoosePrompt(model->settings, options.source_language(), options.target_language(),
                   options.has_prompt_override() ? &options.prompt_override() : nullptr, limits);
  if (!prompt.ok()) return prompt.status();
  plan.prompt = *std::move(prompt);
  absl::StatusOr<decoding::DecodingOptions> decoding = ResolveDecoding(options, model->settings);
  if (!decoding.ok()) return decoding.status();
  plan.decoding = *std::move(decoding);
  plan.random_seed = plan.decoding.do_sample && !options.decoding().has_seed();
  plan.num_alternatives = plan.decoding.num_return_sequences;
  plan.split_paragraphs = options.split_paragraphs();
  if (plan.split_paragraphs && plan.num_alternatives > 1) {
    return absl::InvalidArgumentError(absl::StrCat("num_alternatives is ", plan.num_alternatives,
                                                   "; with split_paragraphs there is one translation per text"));
  }
  plan.model = std::move(model);
  return plan;
}

v1::DecodingOptions ToProto(const decoding::DecodingOptions& defaults) {
  DecodingProto proto;
  proto.set_max_new_tokens(defaults.max_new_tokens);
  proto.set_num_beams(defaults.num_beams);
  proto.set_length_penalty(defaults.length_penalty);
  proto.set_repetition_penalty(defaults.repetition_penalty);
  proto.set_no_repeat_ngram_size(defaults.no_repeat_ngram_size);
  return proto;
}

}  // namespace petit::serving
