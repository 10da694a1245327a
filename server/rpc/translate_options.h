// What a request asks for, checked against the model that shall do it. Knows no gRPC.
#ifndef PETIT_SERVER_RPC_TRANSLATE_OPTIONS_H_
#define PETIT_SERVER_RPC_TRANSLATE_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "models/decoding/options.h"
#include "petit/v1/translation.pb.h"
#include "server/config/settings.h"
#include "server/registry/registry.h"

namespace petit::serving {

struct ModelReference {
  std::string name;
  std::int64_t version = 0;  // 0: the served one
};

// Reads "student", "models/student", "student/versions/2" or "models/student/versions/2". INVALID_ARGUMENT otherwise.
absl::StatusOr<ModelReference> ParseModelReference(const std::string& text);

// TranslateOptions, complete and valid for `model`, which stays loaded as long as this lives.
struct TranslationPlan {
  ModelHandle model;
  std::string prompt;
  bool split_paragraphs = false;
  int num_alternatives = 1;
  decoding::DecodingOptions decoding;
  bool random_seed = false;  // each sequence draws its own in place of decoding.seed
};

// INVALID_ARGUMENT: an option that the model, its configuration or decoding does not allow; the message names the
// field and what is allowed, for an unknown language pair the configured ones.
absl::StatusOr<TranslationPlan> MakePlan(const v1::TranslateOptions& options, ModelHandle model,
                                         const RequestLimits& limits);

// The text before the source: `prompt_override` where it is not null, else the pair's configured prefix.
absl::StatusOr<std::string> ChoosePrompt(const ModelSettings& settings, const std::string& source_language,
                                         const std::string& target_language, const std::string* prompt_override,
                                         const RequestLimits& limits);

// The model's defaults overlaid with what the request sets.
absl::StatusOr<decoding::DecodingOptions> ResolveDecoding(const v1::TranslateOptions& options,
                                                          const ModelSettings& settings);

// What a model does where a request says nothing, for clients to see; sampling, which only a request asks for, is left
// out.
v1::DecodingOptions ToProto(const decoding::DecodingOptions& defaults);

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_TRANSLATE_OPTIONS_H_
