// The forward pass over packed sequences: [total tokens, d_model], no padding in any linear layer.
#ifndef PETIT_MODELS_TORCH_FORWARD_H_
#define PETIT_MODELS_TORCH_FORWARD_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "models/decoding/step.h"
#include "models/torch/position_bias.h"
#include "models/torch/weights.h"

namespace petit::torch_executor {

// Sequences of ids, one after the other.
struct PackedIds {
  std::vector<decoding::TokenId> ids;
  std::vector<int> lengths;

  void Append(absl::Span<const decoding::TokenId> sequence) {
    ids.insert(ids.end(), sequence.begin(), sequence.end());
    lengths.push_back(static_cast<int>(sequence.size()));
  }
};

class Forward {
 public:
  // `weights` must outlive this. `generic`: tensor operations even where there are kernels of our own.
  Forward(const ModelWeights& weights, bool generic);

  // True where tensor operations are used rather than our own CPU kernels.
  bool generic() const { return generic_; }
  const ModelWeights& weights() const { return weights_; }
  PositionBias& decoder_bias() { return decoder_bias_; }

  // The encoder's normed output, [tokens, d_model].
  at::Tensor Encode(const PackedIds& sources);

  // Teacher forcing: the decoder's normed output for decoder inputs `inputs` (start token first), given the encoder's.
  at::Tensor DecodeForced(const PackedIds& inputs, const at::Tensor& encoded, const std::vector<int>& source_lengths);

  // [n, d_model], normed -> logits [n, vocab_size], fp32, contiguous.
  at::Tensor Logits(const at::Tensor& hidden) const;

  at::Tensor Embed(absl::Span<const decoding::TokenId> ids) const;
  at::Tensor Norm(const at::Tensor& x, const at::Tensor& weight) const;
  void AddFeedForward(const FeedForwardWeights& layer, at::Tensor* x) const;

 private:
  void AddSelfAttention(const SelfAttentionWeights& layer, const std::vector<int>& lengths, PositionBias* bias,
                        at::Tensor* x) const;
  at::Tensor Activation(const at::Tensor& x) const;
  std::int64_t RowsToCompute(std::int64_t tokens) const;

  const ModelWeights& weights_;
  const bool generic_;
  PositionBias encoder_bias_;
  PositionBias decoder_bias_;
};

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_FORWARD_H_
