// The T5 architecture as data: what `config.json` says, in checked C++ types.
//
// std only. Field names follow Hugging Face's `T5Config`; where a field is missing from config.json, the
// default here is Hugging Face's.
#ifndef PETIT_MODELS_T5_CONFIG_H_
#define PETIT_MODELS_T5_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace petit::t5 {

using TokenId = std::int32_t;

// Feed-forward variants. `gated-gelu` of config.json means the tanh form, as everywhere in the T5 family.
enum class Activation { kRelu, kGeluNew, kGelu, kSilu };

struct T5Config {
  int vocab_size = 32128;
  int d_model = 512;
  int d_kv = 64;  // width of one head; num_heads * d_kv need not equal d_model (flan-T5-small: 6 * 64 against 512)
  int d_ff = 2048;
  int num_layers = 6;          // encoder blocks
  int num_decoder_layers = 6;  // absent in config.json: num_layers
  int num_heads = 8;
  int relative_attention_num_buckets = 32;
  int relative_attention_max_distance = 128;
  float layer_norm_epsilon = 1e-6f;
  float dropout_rate = 0.1f;  // used in training only
  Activation activation = Activation::kRelu;
  bool gated = false;               // wi_0, wi_1 in place of wi
  bool tie_word_embeddings = true;  // tied: logits = (h * d_model^-0.5) E^T; untied: h lm_head^T, unscaled
  TokenId decoder_start_token_id = 0;
  TokenId pad_token_id = 0;
  std::vector<TokenId> eos_token_ids = {1};

  int inner_dim() const { return num_heads * d_kv; }
};

// Says what is wrong with the first field that no T5 can have ("d_kv is 0; it must be between 1 and 1024"), or
// nothing.
std::optional<std::string> Validate(const T5Config& config);

}  // namespace petit::t5

#endif  // PETIT_MODELS_T5_CONFIG_H_
