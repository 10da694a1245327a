#include "models/torch/forward.h"

#include <ATen/ATen.h>

#include "models/torch/cpu_kernels.h"
#include "models/torch/packed_attention.h"

namespace petit::torch_executor {

Forward::Forward(const ModelWeights& weights, bool generic)
    : weights_(weights),
      generic_(generic || !weights.device.is_cpu()),
      encoder_bias_(weights.encoder.relative_bias, /*bidirectional=*/true, weights.config),
      decoder_bias_(weights.decoder.relative_bias, /*bidirectional=*/false, weights.config) {}

at::Tensor Forward::Embed(absl::Span<const decoding::TokenId> ids) const {
  const at::Tensor index = at::tensor(at::ArrayRef<decoding::TokenId>(ids.data(), ids.size()), at::kInt);
  return weights_.embedding.index_select(0, index.to(weights_.device)).to(weights_.activation_type);
}

at::Tensor Forward::Norm(const at::Tensor& x, const at::Tensor& weight) const {
  const float epsilon = weights_.config.layer_norm_epsilon;
  if (!generic_) return CpuRmsNorm(x, weight, epsilon);
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor scale = wide.square().mean(-1, /*keepdim=*/true).add_(epsilon).rsqrt_();
  return weight * (wide * scale).to(x.scalar_type());
}

at::Tensor Forward::Activation(const at::Tensor& x) const {
  const t5::T5Config& config = weights_.config;
  if (!generic_) return CpuActivation(x, config.activation, config.gated);
  const at::Tensor input = config.gated ? x.narrow(1, 0, config.d_ff) : x;
  at::Tensor y;
  switch (config.activation) {
    case t5::Activation::kRelu:
      y = at::relu(input);
      break;
    case t5::Activation::kGeluNew:
      y = at::gelu(input, "tanh");
      break;
    case t5::Activation::kGelu:
      y = at::gelu(input, "none");
      break;
    case t5::Activation::kSilu:
      y = at::silu(input);
      break;
  }
  return config.gated ? y.mul_(x.narrow(1, config.d_ff, config.d_ff)) : y;
}

void Forward::AddFeedForward(const FeedForwardWeights& layer, at::Tensor* x) const {
  layer.wo.AddTo(Activation(layer.wi.Apply(Norm(*x, layer.norm))), x);
}

void Forward::AddSelfAttention(const SelfAttentionWeights& layer, const std::vector<int>& lengths, PositionBias* bias,
                               at::Tensor* x) const {
  const int inner = weights_.config.inner_dim();
  const at::Tensor qkv = layer.qkv.Apply(Norm(*x, layer.norm));
  const at::Tensor context = PackedAttention({.query = qkv.narrow(1, 0, inner),
                                              .key = qkv.narrow(1, inner, inner),
                                              .value = qkv.narrow(1, std::int64_t{2} * inner, inner),
                                              .query_lengths = lengths,
                                              .key_lengths = lengths,
                                              .heads = weights_.config.num_heads,
                                              .head_width = weights_.config.d_kv,
                                              .bias = bias,
                                              .padded = generic_});
  layer.o.AddTo(context, x);
}

at::Tensor Forward::Encode(const PackedIds& sources) {
  const auto tokens = static_cast<std::int64_t>(sources.ids.size());
  std::vector<decoding::TokenId> ids = sources.ids;
  ids.resize(RowsToCompute(tokens), 0);
  at::Tensor x = Embed(ids);
  for (const BlockWeights& block : weights_.encoder.blocks) {
    AddSelfAttention(block.self, sources.lengths, &encoder_bias_, &x);
    AddFeedForward(block.feed_forward, &x);
  }
  return Norm(x, weights_.encoder.final_norm).narrow(0, 0, tokens);
}

// oneDNN compiles a kernel for each new number of rows: few different ones, then, at the price of a few idle rows.
// Not where activations are quantised over all rows.
std::int64_t Forward::RowsToCompute(std::int64_t tokens) const {
  if (generic_ || weights_.quantized) return tokens;
  const std::int64_t unit = tokens <= 64 ? 8 : 16;
  return (tokens + unit - 1) / unit * unit;
}

at::Tensor Forward::DecodeForced(const PackedIds& inputs, const at::Tensor& encoded,
                                 const std::vector<int>& source_lengths) {
  const int inner = weights_.config.inner_dim();
  at::Tensor x = Embed(inputs.ids);
  for (const BlockWeights& block : weights_.decoder.blocks) {
    AddSelfAttention(block.self, inputs.lengths, &decoder_bias_, &x);
    const at::Tensor kv = block.cross.kv.Apply(encoded);
    const at::Tensor context = PackedAttention({.query = block.cross.q.Apply(Norm(x, block.cross.norm)),
                                                .key = kv.narrow(1, 0, inner),
                                                .value = kv.narrow(1, inner, inner),
                                                .query_lengths = inputs.lengths,
                                                .key_lengths = source_lengths,
                                                .heads = weights_.config.num_heads,
                                                .head_width = weights_.config.d_kv,
                                                .bias = nullptr,
                                                .padded = generic_});
    block.cross.o.AddTo(context, &x);
    AddFeedForward(block.feed_forward, &x);
  }
  return Norm(x, weights_.decoder.final_norm);
}

at::Tensor Forward::Logits(const at::Tensor& hidden) const {
  const at::Tensor scaled = weights_.lm_head_scale == 1 ? hidden : hidden * weights_.lm_head_scale;
  return weights_.lm_head.Apply(scaled).to(at::kFloat);
}

}  // namespace petit::torch_executor
