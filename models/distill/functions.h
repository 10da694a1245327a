// The pieces of a trainable T5 that are worth a kernel of their own, as differentiable functions. On the CPU: fused,
// computing in fp32, with results that do not depend on chance but on the number of threads. Elsewhere: LibTorch's
// operations.
#ifndef PETIT_MODELS_DISTILL_FUNCTIONS_H_
#define PETIT_MODELS_DISTILL_FUNCTIONS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/t5/config.h"

namespace petit::distill {

// Keys of dropout masks. A mask is a pure function of its key and the element's place, so that training resumes exactly
// without any generator's state: the key is made of (seed, arm, step, micro-batch) and the number of the call.
class DropoutKeys {
 public:
  explicit DropoutKeys(std::uint64_t base) : base_(base) {}
  std::uint64_t Next();

 private:
  std::uint64_t base_;
  std::uint64_t calls_ = 0;
};

// SplitMix64's finaliser: mixes two numbers into one.
std::uint64_t MixBits(std::uint64_t a, std::uint64_t b);

// Elements are 0 with probability p, else divided by 1 - p. No-op where p is 0 or `keys` null.
at::Tensor Dropout(const at::Tensor& x, double p, DropoutKeys* keys);

// x + Dropout(y): x of fp32, y of any type -> fp32.
at::Tensor AddDropped(const at::Tensor& x, const at::Tensor& y, double p, DropoutKeys* keys);

// weight * x * rsqrt(mean(x^2) + epsilon) over the last dimension: x [n, d] of fp32, weight [d] -> `type`.
at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon, at::ScalarType type);

// The feed-forward's activation of x [n, 2f] (gated) or [n, f] -> [n, f], of x's type.
at::Tensor FeedForwardActivation(const at::Tensor& x, t5::Activation activation, bool gated);

struct AttentionInput {
  // With inner = heads * head_width. Self-attention: [sum of query_lengths, 3 inner], queries, keys and values side by
  // side, and no memory. Cross-attention: [sum of query_lengths, inner].
  at::Tensor queries;
  at::Tensor memory;  // [sum of key_lengths, 2 inner]: keys and values
  const std::vector<int>& query_lengths;
  const std::vector<int>& key_lengths;
  int heads = 0;
  int head_width = 0;
  bool causal = false;
  // [buckets, heads], or undefined; with the bucket of each key - query at [relative + longest - 1].
  at::Tensor bias_table;
  const std::vector<int>* buckets = nullptr;
  double dropout = 0;
  std::uint64_t dropout_key = 0;
  // LibTorch's operations on padded sequences even on the CPU.
  bool generic = false;
};

// softmax(q.k + bias).v for each sequence and head, T5's (no 1/sqrt(d)) -> [sum of query_lengths, heads * head_width],
// of queries' type.
at::Tensor Attention(const AttentionInput& input);

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_FUNCTIONS_H_
