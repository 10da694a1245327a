// config.json and generation_config.json to checked C++ types and back. Internal to this folder.
#ifndef PETIT_MODELS_CHECKPOINT_CONFIG_JSON_H_
#define PETIT_MODELS_CHECKPOINT_CONFIG_JSON_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/checkpoint/checkpoint.h"
#include "models/t5/config.h"

namespace petit::checkpoint {

// Reads what Hugging Face's T5Config (or MT5Config: the same architecture with other defaults) reads, with its
// defaults; null counts as missing. `path` is only for messages. INVALID_ARGUMENT: not JSON, another model_type, a
// field of a wrong type or out of range, an activation that T5 checkpoints do not use.
absl::StatusOr<t5::T5Config> ParseConfig(absl::string_view text, const std::string& path);

// Fields that are missing come from `config`. INVALID_ARGUMENT: as above, ids outside the vocabulary included.
absl::StatusOr<GenerationConfig> ParseGenerationConfig(absl::string_view text, const std::string& path,
                                                       const t5::T5Config& config);

// What is wrong with the ids of `generation` in a vocabulary of `vocab_size`, or nothing.
std::optional<std::string> ValidateGeneration(const GenerationConfig& generation, int vocab_size);

// The files' texts. `dtype` is what from_pretrained(torch_dtype="auto") will load the weights as.
std::string ConfigText(const t5::T5Config& config, DType dtype);
std::string GenerationConfigText(const GenerationConfig& generation);

}  // namespace petit::checkpoint

#endif  // PETIT_MODELS_CHECKPOINT_CONFIG_JSON_H_
