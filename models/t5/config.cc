#include "models/t5/config.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace petit::t5 {
namespace {

struct Range {
  const char* field;
  std::int64_t value;
  std::int64_t low;
  std::int64_t high;
};

std::string OutOfRange(const Range& range) {
  return std::string(range.field) + " is " + std::to_string(range.value) + "; it must be between " +
         std::to_string(range.low) + " and " + std::to_string(range.high);
}

// The upper bounds are far above T5-XXL and keep every product of two of them within 63 bits.
std::optional<std::string> ValidateSizes(const T5Config& config) {
  const Range ranges[] = {
      {"vocab_size", config.vocab_size, 1, 1 << 24},
      {"d_model", config.d_model, 1, 1 << 16},
      {"d_kv", config.d_kv, 1, 1024},
      {"d_ff", config.d_ff, 1, 1 << 20},
      {"num_layers", config.num_layers, 1, 512},
      {"num_decoder_layers", config.num_decoder_layers, 1, 512},
      {"num_heads", config.num_heads, 1, 1024},
      // Below 4, the encoder's half has no bucket for the logarithmic part.
      {"relative_attention_num_buckets", config.relative_attention_num_buckets, 4, 4096},
      {"relative_attention_max_distance", config.relative_attention_max_distance, 2, 1 << 20},
  };
  for (const Range& range : ranges) {
    if (range.value < range.low || range.value > range.high) return OutOfRange(range);
  }
  // The decoder's logarithm is log(max_distance / (num_buckets / 2)), a divisor: it must be above zero.
  const int exact = config.relative_attention_num_buckets / 2;
  if (config.relative_attention_max_distance <= exact) {
    return "relative_attention_max_distance is " + std::to_string(config.relative_attention_max_distance) +
           "; it must be above half of relative_attention_num_buckets, " + std::to_string(exact);
  }
  return std::nullopt;
}

std::optional<std::string> ValidateIds(const T5Config& config) {
  const std::int64_t last = config.vocab_size - 1;
  const Range ids[] = {
      {"decoder_start_token_id", config.decoder_start_token_id, 0, last},
      {"pad_token_id", config.pad_token_id, 0, last},
  };
  for (const Range& id : ids) {
    if (id.value < id.low || id.value > id.high) return OutOfRange(id);
  }
  if (config.eos_token_ids.empty()) return "eos_token_id is empty; it must name at least one token";
  for (const TokenId id : config.eos_token_ids) {
    if (id < 0 || id > last) return OutOfRange({"eos_token_id", id, 0, last});
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> Validate(const T5Config& config) {
  if (auto problem = ValidateSizes(config)) return problem;
  if (!(config.layer_norm_epsilon > 0.0f) || !(config.layer_norm_epsilon < 1.0f)) {
    return "layer_norm_epsilon is " + std::to_string(config.layer_norm_epsilon) + "; it must be above 0 and below 1";
  }
  if (!(config.dropout_rate >= 0.0f) || !(config.dropout_rate < 1.0f)) {
    return "dropout_rate is " + std::to_string(config.dropout_rate) + "; it must be at least 0 and below 1";
  }
  return ValidateIds(config);
}

}  // namespace petit::t5
