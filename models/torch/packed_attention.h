// Attention of sequences that lie packed, one after the other, without padding.
#ifndef PETIT_MODELS_TORCH_PACKED_ATTENTION_H_
#define PETIT_MODELS_TORCH_PACKED_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "models/torch/position_bias.h"

namespace petit::torch_executor {

struct PackedAttentionInput {
  at::Tensor query;  // [at least the sum of query_lengths, heads * head_width]
  at::Tensor key;    // [at least the sum of key_lengths, heads * head_width]
  at::Tensor value;  // like key
  const std::vector<int>& query_lengths;
  const std::vector<int>& key_lengths;
  int heads = 0;
  int head_width = 0;
  PositionBias* bias = nullptr;  // null: none, as in cross-attention
  bool padded = false;           // all sequences at once, padded and masked, rather than one after the other
};

// softmax(q.k + bias).v with the softmax in fp32 -> [rows of query, heads * head_width]; 0 in rows beyond the
// sequences, which only the unpadded form allows.
at::Tensor PackedAttention(const PackedAttentionInput& input);

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_PACKED_ATTENTION_H_
