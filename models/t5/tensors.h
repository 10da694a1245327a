// Names and shapes of a T5 checkpoint's tensors, as Hugging Face writes them. std only.
#ifndef PETIT_MODELS_T5_TENSORS_H_
#define PETIT_MODELS_T5_TENSORS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/t5/config.h"

namespace petit::t5 {

struct TensorSpec {
  std::string name;
  std::vector<std::int64_t> shape;
};

enum class Stack { kEncoder, kDecoder };

// "encoder.block.3.layer.0.SelfAttention." and the like: the prefix of the tensors of one sublayer.
std::string SelfAttentionPrefix(Stack stack, int block);  // + q.weight, k.weight, v.weight, o.weight
std::string CrossAttentionPrefix(int block);              // decoder only; same four
std::string FeedForwardPrefix(Stack stack, int block);    // + wi.weight | wi_0.weight, wi_1.weight; wo.weight
enum class Sublayer { kSelfAttention, kCrossAttention, kFeedForward };
std::string LayerNormName(Stack stack, int block, Sublayer sublayer);
std::string FinalLayerNormName(Stack stack);
std::string RelativeBiasName(Stack stack);  // block 0 alone has the table [buckets, heads]

inline constexpr std::string_view kSharedEmbedding = "shared.weight";
inline constexpr std::string_view kLmHead = "lm_head.weight";

// Every tensor that a checkpoint of this configuration must have, each exactly once, in a fixed order:
// shared.weight, encoder, decoder, lm_head.weight if untied. Linear weights are [out, in].
std::vector<TensorSpec> RequiredTensors(const T5Config& config);

// True for names that older files carry beside the required ones and that are ignored, as Hugging Face does:
// copies of the embedding (encoder.embed_tokens.weight, decoder.embed_tokens.weight; lm_head.weight where tied)
// and the cross-attention's never-used relative_attention_bias.
bool IsIgnoredTensor(std::string_view name, const T5Config& config);

// Sum of the elements of RequiredTensors.
std::int64_t ParameterCount(const T5Config& config);

}  // namespace petit::t5

#endif  // PETIT_MODELS_T5_TENSORS_H_
