// Attention of a decoder step on the CPU: one query per row against the row's own keys, whose numbers differ.
#ifndef PETIT_MODELS_TORCH_CPU_ATTENTION_H_
#define PETIT_MODELS_TORCH_CPU_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "absl/types/span.h"

namespace petit::torch_executor {

// The keys of one row: the first `keys` positions of a list of pages of a PagePool.
struct RowKeys {
  absl::Span<const int> pages;
  int keys = 0;
};

struct RaggedAttentionInput {
  const at::Tensor& query;  // [rows, >= inner], unit stride in a row; fp32 or BF16
  const at::Tensor& pages;  // a layer of a PagePool, of the query's type
  absl::Span<const RowKeys> rows;
  int heads = 0;
  int head_width = 0;
  // Position bias by distance, [heads, longest + 1] fp32, distance d at longest - d; undefined: none. The query
  // stands at the last key's position.
  const at::Tensor& bias;
};

// softmax(q.k + bias).v, accumulated in fp32 -> [rows, inner] of the query's type.
at::Tensor CpuRaggedAttention(const RaggedAttentionInput& input);

// Writes row i's key and value, kv[i] = [2, heads, head_width], to position places[i] of page pages[i].
void CpuStoreKeysAndValues(const at::Tensor& kv, absl::Span<const std::int64_t> pages,
                           absl::Span<const std::int64_t> places, const at::Tensor& layer);

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_CPU_ATTENTION_H_
