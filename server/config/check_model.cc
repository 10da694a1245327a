#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "models/decoding/options.h"
#include "models/tokenizer/tokenizer.h"
#include "server/config/checks.h"
#include "server/config/device.h"

namespace petit::serving {
namespace {

using config::v1::BatchingConfig;
using config::v1::DecodingDefaults;
using config::v1::ModelConfig;
using config::v1::PromptConfig;
using config::v1::VersionPolicy;

constexpr int kMaxNameLength = 128;
constexpr int kMaxTokens = 1 << 20;  // no T5 goes near it; keeps sizes far from overflow
constexpr int kMaxRows = 1 << 16;
constexpr double kMaxHoldBack = 1000;
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 50;

std::string Quoted(absl::string_view text) { return absl::StrCat("\"", text, "\""); }

void CheckName(const ModelConfig& model, const Located& at) {
  const std::string& name = model.name();
  if (name.empty()) {
    at.Complain("a model has no name; give it one: name: \"student\"");
    return;
  }
  bool bad = name.size() > kMaxNameLength || name[0] == '.';
  for (const char c : name) bad = bad || !(absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.');
  if (bad) {
    at.ComplainAbout(ModelConfig::kNameFieldNumber,
                     absl::StrCat("model name ", Quoted(name),
                                  " cannot be used in paths; it must be of letters, digits, '-', '_' and '.', not "
                                  "begin with '.' and have at most ",
                                  kMaxNameLength, " characters"));
  } else if (name == "unknown") {
    at.ComplainAbout(ModelConfig::kNameFieldNumber,
                     "model name \"unknown\" is what metrics call models that are not configured; choose another");
  }
}

void CheckCheckpoint(const ModelConfig& model, const Located& at, const std::string& base_directory,
                     ModelSettings* settings) {
  settings->checkpoint = ResolvePath(base_directory, model.checkpoint());
  const std::filesystem::path directory = settings->checkpoint;
  std::error_code error;
  const bool is_directory = std::filesystem::is_directory(directory, error);
  if (error == std::errc::permission_denied) {
    at.ComplainAbout(ModelConfig::kCheckpointFieldNumber, absl::StrCat("checkpoint ", Quoted(settings->checkpoint),
                                                                       " cannot be looked at: ", error.message()));
  } else if (!is_directory) {
    at.ComplainAbout(ModelConfig::kCheckpointFieldNumber,
                     absl::StrCat("checkpoint ", Quoted(settings->checkpoint),
                                  " is not a directory; it must be one in the Hugging Face layout (relative paths "
                                  "begin at the configuration file's directory)"));
  } else if (!std::filesystem::exists(directory / "config.json", error)) {
    at.ComplainAbout(
        ModelConfig::kCheckpointFieldNumber,
        error ? absl::StrCat("checkpoint ", Quoted(settings->checkpoint), " cannot be looked into: ", error.message())
              : absl::StrCat("checkpoint ", Quoted(settings->checkpoint),
                             " has no config.json; it must be a directory in the Hugging Face layout"));
  }
}

void CheckVersionPolicy(const ModelConfig& model, const Located& at, const std::string& model_root,
                        ModelSettings* settings) {
  if (model_root.empty()) {
    at.ComplainAbout(ModelConfig::kVersionPolicyFieldNumber,
                     "version_policy chooses below model_root, which is not set; set model_root: \"DIRECTORY\", or use "
                     "checkpoint");
  } else {
    settings->versions_root = ResolvePath(model_root, model.name());
  }
  const VersionPolicy& policy = model.version_policy();
  if (policy.policy_case() == VersionPolicy::POLICY_NOT_SET) {
    at.ComplainAbout(ModelConfig::kVersionPolicyFieldNumber,
                     "version_policy is empty; write version_policy { latest {} } or version_policy { specific: 3 }");
  } else if (policy.has_specific()) {
    settings->specific_version = policy.specific();
    if (policy.specific() < 1) {
      at.Child(ModelConfig::kVersionPolicyFieldNumber, policy)
          .ComplainAbout(VersionPolicy::kSpecificFieldNumber,
                         absl::StrCat("specific is ", policy.specific(), "; versions are numbered from 1"));
    }
  }
}

void CheckSource(const ModelConfig& model, const Located& at, const std::string& base_directory,
                 const std::string& model_root, ModelSettings* settings) {
  if (model.checkpoint().empty() && !model.has_version_policy()) {
    at.Complain(absl::StrCat("model ", Quoted(model.name()),
                             " says neither checkpoint: \"DIRECTORY\" nor version_policy { latest {} }; one of the "
                             "two is needed"));
    return;
  }
  if (!model.checkpoint().empty() && model.has_version_policy()) {
    at.ComplainAbout(ModelConfig::kVersionPolicyFieldNumber,
                     absl::StrCat("model ", Quoted(model.name()), " has a checkpoint and a version_policy; keep one"));
    return;
  }
  if (model.has_version_policy()) {
    CheckVersionPolicy(model, at, model_root, settings);
  } else {
    CheckCheckpoint(model, at, base_directory, settings);
  }
}

constexpr int kMaxReplicas = 256;

void CheckExecution(const ModelConfig& model, const Located& at, ModelSettings* settings) {
  switch (model.executor()) {
    case config::v1::EXECUTOR_UNSPECIFIED:
    case config::v1::TORCH:
      break;
    case config::v1::NATIVE:
      at.ComplainAbout(ModelConfig::kExecutorFieldNumber,
                       "executor NATIVE is not part of this build; use TORCH, or leave executor out");
      break;
    default:
      at.ComplainAbout(ModelConfig::kExecutorFieldNumber,
                       absl::StrCat("executor ", static_cast<int>(model.executor()), " is unknown; use TORCH"));
  }
  settings->threads = at.Bounded(ModelConfig::kThreadsFieldNumber, model.threads(), 0, 1, kMaxThreads);
  settings->replicas = at.Bounded(ModelConfig::kReplicasFieldNumber, model.replicas(), 1, 1, kMaxReplicas);

  switch (model.precision()) {
    case config::v1::PRECISION_UNSPECIFIED:
    case config::v1::FP32:
      settings->precision = Precision::kFp32;
      break;
    case config::v1::BF16:
      settings->precision = Precision::kBf16;
      break;
    case config::v1::INT8:
      settings->precision = Precision::kInt8;
      break;
    case config::v1::INT8_STATIC:
      at.ComplainAbout(ModelConfig::kPrecisionFieldNumber,
                       "precision INT8_STATIC is not part of this build; use INT8 (dynamic), BF16 or FP32");
      break;
    default:
      at.ComplainAbout(
          ModelConfig::kPrecisionFieldNumber,
          absl::StrCat("precision ", static_cast<int>(model.precision()), " is unknown; use FP32, BF16 or INT8"));
  }

  if (!model.device().empty()) settings->device = model.device();
  if (!IsDevice(settings->device)) {
    at.ComplainAbout(ModelConfig::kDeviceFieldNumber,
                     absl::StrCat("device ", Quoted(model.device()),
                                  " is unknown; use \"cpu\", \"cuda\" or \"cuda:0\", \"cuda:1\" ..."));
  } else if (settings->precision == Precision::kInt8 && settings->device != "cpu") {
    at.ComplainAbout(ModelConfig::kPrecisionFieldNumber,
                     absl::StrCat("precision INT8 runs on the CPU only, but device is ", Quoted(settings->device),
                                  "; use device: \"cpu\", or precision: BF16"));
  }
  if (settings->replicas > 1 && settings->device != "cpu") {
    at.ComplainAbout(
        ModelConfig::kReplicasFieldNumber,
        absl::StrCat("several replicas run on the CPU only, but device is ", Quoted(settings->device),
                     "; leave replicas out: a GPU takes larger batches (batching { max_rows }) in their place"));
  }
  settings->allow_cpu_fallback = model.allow_cpu_fallback();
  settings->load_later = model.load_later();
}

bool IsLanguage(absl::string_view language) {
  if (language.empty() || language.size() > 64) return false;
  for (const char c : language) {
    if (!absl::ascii_isalnum(c) && c != '-' && c != '_') return false;
  }
  return true;
}

void CheckPrompts(const ModelConfig& model, const Located& at, ModelSettings* settings) {
  if (model.prompt().empty()) {
    at.Complain(absl::StrCat("model ", Quoted(model.name()),
                             " has no prompt; give one for each language pair: prompt { source: \"en\" target: \"fr\" "
                             "prefix: \"translate English to French: \" }"));
  }
  std::set<std::pair<std::string, std::string>> seen;
  for (int i = 0; i < model.prompt_size(); ++i) {
    const PromptConfig& prompt = model.prompt(i);
    const Located here = at.Child(ModelConfig::kPromptFieldNumber, prompt, i);
    for (const auto& [number, field, value] :
         {std::tuple{PromptConfig::kSourceFieldNumber, "source", prompt.source()},
          std::tuple{PromptConfig::kTargetFieldNumber, "target", prompt.target()}}) {
      if (IsLanguage(value)) continue;
      here.ComplainAbout(number, absl::StrCat(field, " is ", Quoted(value),
                                              "; it must be a language of letters, digits, '-' and '_', as \"en\""));
    }
    if (tokenizer::FirstInvalidUtf8(prompt.prefix()) >= 0) {
      here.ComplainAbout(PromptConfig::kPrefixFieldNumber, "prefix is not UTF-8; save the file as UTF-8");
    }
    if (!seen.emplace(prompt.source(), prompt.target()).second) {
      here.Complain(absl::StrCat("model ", Quoted(model.name()), " has a second prompt from ", Quoted(prompt.source()),
                                 " to ", Quoted(prompt.target()), "; keep one for each language pair"));
    }
    settings->prompts.push_back({prompt.source(), prompt.target(), prompt.prefix()});
  }
}

void CheckBatching(const ModelConfig& model, const Located& model_at, ModelSettings* settings) {
  const BatchingConfig& batching = model.batching();
  const Located at = model.has_batching() ? model_at.Child(ModelConfig::kBatchingFieldNumber, batching) : model_at;
  engine::BatchingLimits& limits = settings->batching;
  switch (batching.mode()) {
    case BatchingConfig::MODE_UNSPECIFIED:
    case BatchingConfig::CONTINUOUS:
      limits.mode = engine::BatchingMode::kContinuous;
      break;
    case BatchingConfig::STATIC:
      limits.mode = engine::BatchingMode::kStatic;
      break;
    case BatchingConfig::ONE_AT_A_TIME:
      limits.mode = engine::BatchingMode::kOneAtATime;
      break;
    default:
      at.ComplainAbout(BatchingConfig::kModeFieldNumber,
                       absl::StrCat("mode ", static_cast<int>(batching.mode()),
                                    " is unknown; use CONTINUOUS, STATIC or ONE_AT_A_TIME"));
  }
  limits.max_rows = at.Bounded(BatchingConfig::kMaxRowsFieldNumber, batching.max_rows(), limits.max_rows, 1, kMaxRows);
  limits.max_kv_bytes =
      at.Bounded64(BatchingConfig::kMaxKvBytesFieldNumber, batching.max_kv_bytes(), limits.max_kv_bytes, 1, kMaxBytes);
  limits.max_encoder_tokens_per_step =
      at.Bounded(BatchingConfig::kMaxEncoderTokensPerStepFieldNumber, batching.max_encoder_tokens_per_step(),
                 limits.max_encoder_tokens_per_step, 1, kMaxTokens);
  limits.max_queue_length = at.Bounded(BatchingConfig::kMaxQueueLengthFieldNumber, batching.max_queue_length(),
                                       limits.max_queue_length, 1, 1 << 24);
  limits.max_queue_bytes = at.Bounded64(BatchingConfig::kMaxQueueBytesFieldNumber, batching.max_queue_bytes(),
                                        limits.max_queue_bytes, 1, kMaxBytes);
  const double hold_back = batching.max_hold_back();
  if (hold_back != 0) {
    if (hold_back >= 1 && hold_back <= kMaxHoldBack) {
      limits.max_hold_back = hold_back;
    } else {  // NaN comes here too
      at.ComplainAbout(BatchingConfig::kMaxHoldBackFieldNumber,
                       absl::StrCat("max_hold_back is ", hold_back, "; it must be between 1 (never hold back) and ",
                                    kMaxHoldBack, ", or absent for ", limits.max_hold_back));
    }
  }
  const double share = batching.max_score_share();
  if (share != 0) {
    if (share > 0 && share <= 1) {
      limits.max_score_share = share;
    } else {  // NaN comes here too
      at.ComplainAbout(BatchingConfig::kMaxScoreShareFieldNumber,
                       absl::StrCat("max_score_share is ", share, "; it must be above 0 and at most 1, or absent for ",
                                    limits.max_score_share));
    }
  }
  const std::int64_t longest = static_cast<std::int64_t>(settings->max_source_tokens) * sizeof(decoding::TokenId);
  if (limits.max_queue_bytes < longest) {
    at.ComplainAbout(
        BatchingConfig::kMaxQueueBytesFieldNumber,
        absl::StrCat("max_queue_bytes is ", limits.max_queue_bytes, ", so that a text of max_source_tokens (",
                     settings->max_source_tokens, ") could never wait; it must be at least ", longest));
  }
}

void CheckDecoding(const ModelConfig& model, const Located& model_at, ModelSettings* settings) {
  const DecodingDefaults& wanted = model.decoding();
  const Located at = model.has_decoding() ? model_at.Child(ModelConfig::kDecodingFieldNumber, wanted) : model_at;
  decoding::DecodingOptions& options = settings->default_decoding;
  options.max_new_tokens =
      at.Bounded(DecodingDefaults::kMaxNewTokensFieldNumber, wanted.max_new_tokens(),
                 std::min(options.max_new_tokens, settings->max_new_tokens_limit), 1, settings->max_new_tokens_limit);
  options.num_beams = at.Bounded(DecodingDefaults::kNumBeamsFieldNumber, wanted.num_beams(), options.num_beams, 1,
                                 settings->max_beams_limit);
  options.no_repeat_ngram_size = at.Bounded(DecodingDefaults::kNoRepeatNgramSizeFieldNumber,
                                            wanted.no_repeat_ngram_size(), options.no_repeat_ngram_size, 1, kMaxTokens);
  if (wanted.has_length_penalty()) {
    options.length_penalty = wanted.length_penalty();
    if (!std::isfinite(options.length_penalty)) {
      at.ComplainAbout(DecodingDefaults::kLengthPenaltyFieldNumber,
                       absl::StrCat("length_penalty is ", options.length_penalty, "; it must be a finite number"));
      return;
    }
  }
  if (wanted.has_repetition_penalty()) {
    options.repetition_penalty = wanted.repetition_penalty();
    if (!(options.repetition_penalty > 0) || !std::isfinite(options.repetition_penalty)) {
      at.ComplainAbout(
          DecodingDefaults::kRepetitionPenaltyFieldNumber,
          absl::StrCat("repetition_penalty is ", options.repetition_penalty, "; it must be above 0 (1 is off)"));
      return;
    }
  }
  if (const auto problem = decoding::Validate(options); problem.has_value()) at.Complain(*problem);
}

void CheckLimits(const ModelConfig& model, const Located& at, ModelSettings* settings) {
  settings->max_source_tokens = at.Bounded(ModelConfig::kMaxSourceTokensFieldNumber, model.max_source_tokens(),
                                           settings->max_source_tokens, 2, kMaxTokens);
  settings->max_new_tokens_limit = at.Bounded(ModelConfig::kMaxNewTokensLimitFieldNumber, model.max_new_tokens_limit(),
                                              settings->max_new_tokens_limit, 1, kMaxTokens);
  settings->max_beams_limit = at.Bounded(ModelConfig::kMaxBeamsLimitFieldNumber, model.max_beams_limit(),
                                         settings->max_beams_limit, 1, kMaxRows);
}

// Rows are shared by all beams of a sequence: one that wants more than there are could never run.
void CheckRows(const ModelConfig& model, const Located& at, ModelSettings* settings) {
  const int rows = settings->batching.max_rows;
  if (settings->default_decoding.num_beams > rows) {
    at.Child(ModelConfig::kDecodingFieldNumber, model.decoding())
        .ComplainAbout(DecodingDefaults::kNumBeamsFieldNumber,
                       absl::StrCat("num_beams is ", settings->default_decoding.num_beams,
                                    ", but batching.max_rows is ", rows, "; raise max_rows or lower num_beams"));
  } else if (settings->max_beams_limit > rows) {
    if (model.max_beams_limit() != 0) {
      at.ComplainAbout(ModelConfig::kMaxBeamsLimitFieldNumber,
                       absl::StrCat("max_beams_limit is ", settings->max_beams_limit, ", but batching.max_rows is ",
                                    rows, "; raise max_rows or lower max_beams_limit"));
    }
    settings->max_beams_limit = rows;
  }
}

void CheckTokenizerDigest(const ModelConfig& model, const Located& at, ModelSettings* settings) {
  settings->tokenizer_sha256 = absl::AsciiStrToLower(model.tokenizer_sha256());
  bool bad = !settings->tokenizer_sha256.empty() && settings->tokenizer_sha256.size() != 64;
  for (const char c : settings->tokenizer_sha256) bad = bad || !absl::ascii_isxdigit(c);
  if (bad) {
    at.ComplainAbout(
        ModelConfig::kTokenizerSha256FieldNumber,
        absl::StrCat("tokenizer_sha256 ", Quoted(model.tokenizer_sha256()),
                     " is not a SHA-256; it must be the 64 hex digits that sha256sum spiece.model prints"));
  }
}

}  // namespace

ModelSettings CheckModel(const ModelConfig& model, const Located& at, const std::string& base_directory,
                         const std::string& model_root) {
  ModelSettings settings;
  settings.name = model.name();
  CheckName(model, at);
  CheckSource(model, at, base_directory, model_root, &settings);
  CheckExecution(model, at, &settings);
  CheckPrompts(model, at, &settings);
  CheckLimits(model, at, &settings);
  CheckBatching(model, at, &settings);
  CheckDecoding(model, at, &settings);
  CheckRows(model, at, &settings);
  CheckTokenizerDigest(model, at, &settings);
  return settings;
}

}  // namespace petit::serving
