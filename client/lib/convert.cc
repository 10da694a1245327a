#include "client/lib/convert.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "client/lib/status.h"

namespace petit::client {
namespace {

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

FinishReason FromProto(petit::v1::FinishReason reason) {
  switch (reason) {
    case petit::v1::FINISH_REASON_EOS:
      return FinishReason::kEos;
    case petit::v1::FINISH_REASON_LENGTH:
      return FinishReason::kLength;
    default:
      return FinishReason::kUnspecified;
  }
}

ModelState FromProto(petit::v1::ModelState state) {
  switch (state) {
    case petit::v1::MODEL_STATE_UNLOADED:
      return ModelState::kUnloaded;
    case petit::v1::MODEL_STATE_LOADING:
      return ModelState::kLoading;
    case petit::v1::MODEL_STATE_READY:
      return ModelState::kReady;
    case petit::v1::MODEL_STATE_UNLOADING:
      return ModelState::kUnloading;
    case petit::v1::MODEL_STATE_FAILED:
      return ModelState::kFailed;
    default:
      return ModelState::kUnspecified;
  }
}

petit::v1::DecodingOptions::EarlyStopping ToProto(DecodingOptions::EarlyStopping early_stopping) {
  switch (early_stopping) {
    case DecodingOptions::EarlyStopping::kFalse:
      return petit::v1::DecodingOptions::EARLY_STOPPING_FALSE;
    case DecodingOptions::EarlyStopping::kTrue:
      return petit::v1::DecodingOptions::EARLY_STOPPING_TRUE;
    case DecodingOptions::EarlyStopping::kNever:
      return petit::v1::DecodingOptions::EARLY_STOPPING_NEVER;
    case DecodingOptions::EarlyStopping::kDefault:
      break;
  }
  return petit::v1::DecodingOptions::EARLY_STOPPING_UNSPECIFIED;
}

void ToProto(const DecodingOptions& options, petit::v1::DecodingOptions& proto) {
  if (options.max_new_tokens) proto.set_max_new_tokens(*options.max_new_tokens);
  if (options.min_new_tokens) proto.set_min_new_tokens(*options.min_new_tokens);
  if (options.num_beams) proto.set_num_beams(*options.num_beams);
  if (options.length_penalty) proto.set_length_penalty(*options.length_penalty);
  proto.set_early_stopping(ToProto(options.early_stopping));
  if (options.repetition_penalty) proto.set_repetition_penalty(*options.repetition_penalty);
  if (options.no_repeat_ngram_size) proto.set_no_repeat_ngram_size(*options.no_repeat_ngram_size);
  proto.set_do_sample(options.do_sample);
  if (options.temperature) proto.set_temperature(*options.temperature);
  if (options.top_k) proto.set_top_k(*options.top_k);
  if (options.top_p) proto.set_top_p(*options.top_p);
  if (options.seed) proto.set_seed(*options.seed);
}

ModelVersion FromProto(const petit::v1::ModelVersion& proto) {
  ModelVersion version;
  version.version = proto.version();
  version.state = FromProto(proto.state());
  version.error = proto.error();
  version.executor = proto.executor();
  version.precision = proto.precision();
  version.device = proto.device();
  version.parameters = proto.parameters();
  version.replicas = proto.replicas();
  version.bytes_in_memory = proto.bytes_in_memory();
  version.bytes_on_disk = proto.bytes_on_disk();
  version.digest = proto.digest();
  if (proto.has_loaded_at()) version.loaded_at = FromProto(proto.loaded_at());
  return version;
}

}  // namespace

petit::v1::TranslateOptions ToProto(const TranslateOptions& options) {
  petit::v1::TranslateOptions proto;
  proto.set_model(options.model);
  proto.set_source_language(options.source_language);
  proto.set_target_language(options.target_language);
  if (options.prompt_override) proto.set_prompt_override(*options.prompt_override);
  proto.set_split_paragraphs(options.split_paragraphs);
  ToProto(options.decoding, *proto.mutable_decoding());
  proto.set_num_alternatives(options.num_alternatives);
  return proto;
}

DecodingOptions FromProto(const petit::v1::DecodingOptions& proto) {
  DecodingOptions options;
  if (proto.has_max_new_tokens()) options.max_new_tokens = proto.max_new_tokens();
  if (proto.has_min_new_tokens()) options.min_new_tokens = proto.min_new_tokens();
  if (proto.has_num_beams()) options.num_beams = proto.num_beams();
  if (proto.has_length_penalty()) options.length_penalty = proto.length_penalty();
  if (proto.has_repetition_penalty()) options.repetition_penalty = proto.repetition_penalty();
  if (proto.has_no_repeat_ngram_size()) options.no_repeat_ngram_size = proto.no_repeat_ngram_size();
  options.do_sample = proto.do_sample();
  if (proto.has_temperature()) options.temperature = proto.temperature();
  if (proto.has_top_k()) options.top_k = proto.top_k();
  if (proto.has_top_p()) options.top_p = proto.top_p();
  if (proto.has_seed()) options.seed = proto.seed();
  using Early = DecodingOptions::EarlyStopping;
  constexpr Early kEarly[] = {Early::kDefault, Early::kFalse, Early::kTrue, Early::kNever};
  if (petit::v1::DecodingOptions::EarlyStopping_IsValid(proto.early_stopping())) {
    options.early_stopping = kEarly[proto.early_stopping()];
  }
  return options;
}

TextResult FromProto(petit::v1::TranslationResult result) {
  if (result.has_error()) return FromProto(result.error());
  if (!result.has_translation()) {
    return absl::InternalError("the server's result holds neither a translation nor an error");
  }
  petit::v1::Translation& proto = *result.mutable_translation();
  Translation translation;
  translation.text = std::move(*proto.mutable_text());
  translation.score = proto.score();
  translation.finish_reason = FromProto(proto.finish_reason());
  translation.source_tokens = proto.source_tokens();
  translation.target_tokens = proto.target_tokens();
  translation.unknown_source_tokens = proto.unknown_source_tokens();
  for (petit::v1::Alternative& alternative : *proto.mutable_alternatives()) {
    translation.alternatives.push_back({.text = std::move(*alternative.mutable_text()),
                                        .score = alternative.score(),
                                        .finish_reason = FromProto(alternative.finish_reason()),
                                        .target_tokens = alternative.target_tokens()});
  }
  translation.model = proto.model();
  translation.model_version = proto.model_version();
  translation.model_digest = proto.model_digest();
  translation.timing = {.queue = FromProto(proto.timing().queue()),
                        .encode = FromProto(proto.timing().encode()),
                        .first_token = FromProto(proto.timing().first_token()),
                        .total = FromProto(proto.timing().total())};
  return translation;
}

ScoreResult FromProto(const petit::v1::ScoreResult& result) {
  if (result.has_error()) return FromProto(result.error());
  if (!result.has_score()) return absl::InternalError("the server's result holds neither a score nor an error");
  const petit::v1::PairScore& proto = result.score();
  return PairScore{.target_ids = {proto.target_ids().begin(), proto.target_ids().end()},
                   .token_log_probs = {proto.token_log_probs().begin(), proto.token_log_probs().end()},
                   .token_kl = {proto.token_kl().begin(), proto.token_kl().end()}};
}

Model FromProto(const petit::v1::Model& proto) {
  Model model;
  model.name = std::string(absl::StripPrefix(proto.name(), "models/"));
  model.state = FromProto(proto.state());
  model.served_version = proto.served_version();
  for (const petit::v1::ModelVersion& version : proto.versions()) model.versions.push_back(FromProto(version));
  for (const petit::v1::LanguagePair& pair : proto.language_pairs()) {
    model.language_pairs.push_back({.source = pair.source(), .target = pair.target(), .prompt = pair.prompt()});
  }
  model.default_decoding = FromProto(proto.default_decoding());
  return model;
}

ServerInfo FromProto(const petit::v1::ServerInfo& proto) {
  ServerInfo info{.build = proto.build(),
                  .cpu = proto.cpu(),
                  .logical_cpus = proto.logical_cpus(),
                  .memory_bytes = proto.memory_bytes(),
                  .os = proto.os(),
                  .texts_in_flight = proto.texts_in_flight(),
                  .texts_accepted = proto.texts_accepted(),
                  .pairs_in_flight = proto.pairs_in_flight(),
                  .pairs_scored = proto.pairs_scored()};
  if (proto.has_start_time()) info.start_time = FromProto(proto.start_time());
  return info;
}

std::string ModelStateName(ModelState state) {
  switch (state) {
    case ModelState::kUnloaded:
      return "UNLOADED";
    case ModelState::kLoading:
      return "LOADING";
    case ModelState::kReady:
      return "READY";
    case ModelState::kUnloading:
      return "UNLOADING";
    case ModelState::kFailed:
      return "FAILED";
    case ModelState::kUnspecified:
      break;
  }
  return "UNSPECIFIED";
}

std::string FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kEos:
      return "EOS";
    case FinishReason::kLength:
      return "LENGTH";
    case FinishReason::kUnspecified:
      break;
  }
  return "UNSPECIFIED";
}

const ModelVersion* Model::Served() const {
  for (const ModelVersion& version : versions) {
    if (served_version != 0 && version.version == served_version) return &version;
  }
  return nullptr;
}

}  // namespace petit::client
