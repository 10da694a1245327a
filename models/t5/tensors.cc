#include "models/t5/tensors.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace petit::t5 {
namespace {

constexpr std::string_view kEncoderEmbedding = "encoder.embed_tokens.weight";
constexpr std::string_view kDecoderEmbedding = "decoder.embed_tokens.weight";
constexpr std::string_view kCrossAttentionBias =
    "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";

std::string StackPrefix(Stack stack) { return stack == Stack::kEncoder ? "encoder." : "decoder."; }

int SublayerIndex(Stack stack, Sublayer sublayer) {
  if (sublayer == Sublayer::kSelfAttention) return 0;
  if (sublayer == Sublayer::kCrossAttention) return 1;
  return stack == Stack::kEncoder ? 1 : 2;
}

std::string SublayerPrefix(Stack stack, int block, Sublayer sublayer) {
  return StackPrefix(stack) + "block." + std::to_string(block) + ".layer." +
         std::to_string(SublayerIndex(stack, sublayer)) + ".";
}

class SpecList {
 public:
  explicit SpecList(const T5Config& config) : config_(config) {}

  void Add(std::string name, std::vector<std::int64_t> shape) { specs_.push_back({std::move(name), std::move(shape)}); }

  void AddAttention(const std::string& prefix) {
    const std::int64_t inner = std::int64_t{config_.num_heads} * config_.d_kv;
    for (const char* projection : {"q", "k", "v"}) Add(prefix + projection + ".weight", {inner, config_.d_model});
    Add(prefix + "o.weight", {config_.d_model, inner});
  }

  void AddFeedForward(const std::string& prefix) {
    const std::vector<std::int64_t> shape = {config_.d_ff, config_.d_model};
    if (config_.gated) {
      Add(prefix + "wi_0.weight", shape);
      Add(prefix + "wi_1.weight", shape);
    } else {
      Add(prefix + "wi.weight", shape);
    }
    Add(prefix + "wo.weight", {config_.d_model, config_.d_ff});
  }

  void AddLayerNorm(Stack stack, int block, Sublayer sublayer) {
    Add(LayerNormName(stack, block, sublayer), {config_.d_model});
  }

  void AddStack(Stack stack, int blocks) {
    for (int block = 0; block < blocks; ++block) {
      AddAttention(SelfAttentionPrefix(stack, block));
      if (block == 0) Add(RelativeBiasName(stack), {config_.relative_attention_num_buckets, config_.num_heads});
      AddLayerNorm(stack, block, Sublayer::kSelfAttention);
      if (stack == Stack::kDecoder) {
        AddAttention(CrossAttentionPrefix(block));
        AddLayerNorm(stack, block, Sublayer::kCrossAttention);
      }
      AddFeedForward(FeedForwardPrefix(stack, block));
      AddLayerNorm(stack, block, Sublayer::kFeedForward);
    }
    Add(FinalLayerNormName(stack), {config_.d_model});
  }

  std::vector<TensorSpec> Take() { return std::move(specs_); }

 private:
  const T5Config& config_;
  std::vector<TensorSpec> specs_;
};

}  // namespace

std::string SelfAttentionPrefix(Stack stack, int block) {
  return SublayerPrefix(stack, block, Sublayer::kSelfAttention) + "SelfAttention.";
}

std::string CrossAttentionPrefix(int block) {
  return SublayerPrefix(Stack::kDecoder, block, Sublayer::kCrossAttention) + "EncDecAttention.";
}

std::string FeedForwardPrefix(Stack stack, int block) {
  return SublayerPrefix(stack, block, Sublayer::kFeedForward) + "DenseReluDense.";
}

std::string LayerNormName(Stack stack, int block, Sublayer sublayer) {
  return SublayerPrefix(stack, block, sublayer) + "layer_norm.weight";
}

std::string FinalLayerNormName(Stack stack) { return StackPrefix(stack) + "final_layer_norm.weight"; }

std::string RelativeBiasName(Stack stack) { return SelfAttentionPrefix(stack, 0) + "relative_attention_bias.weight"; }

std::vector<TensorSpec> RequiredTensors(const T5Config& config) {
  SpecList list(config);
  list.Add(std::string(kSharedEmbedding), {config.vocab_size, config.d_model});
  list.AddStack(Stack::kEncoder, config.num_layers);
  list.AddStack(Stack::kDecoder, config.num_decoder_layers);
  if (!config.tie_word_embeddings) list.Add(std::string(kLmHead), {config.vocab_size, config.d_model});
  return list.Take();
}

bool IsIgnoredTensor(std::string_view name, const T5Config& config) {
  if (name == kEncoderEmbedding || name == kDecoderEmbedding || name == kCrossAttentionBias) return true;
  return name == kLmHead && config.tie_word_embeddings;
}

std::int64_t ParameterCount(const T5Config& config) {
  std::int64_t total = 0;
  for (const TensorSpec& spec : RequiredTensors(config)) {
    std::int64_t elements = 1;
    for (const std::int64_t size : spec.shape) elements *= size;
    total += elements;
  }
  return total;
}

}  // namespace petit::t5
