// T5's relative position bias in the forms that attention needs.
#ifndef PETIT_MODELS_TORCH_POSITION_BIAS_H_
#define PETIT_MODELS_TORCH_POSITION_BIAS_H_

#include <ATen/core/Tensor.h>

#include "models/t5/config.h"

namespace petit::torch_executor {

// The bias of one stack: one table, used by all of its layers. Not thread-safe: forms are cached.
class PositionBias {
 public:
  // `table` [buckets, heads], fp32. Bidirectional for the encoder; else causal, for the decoder.
  PositionBias(at::Tensor table, bool bidirectional, const t5::T5Config& config);

  // [heads, length, length], fp32: of query i and key j. Causal: -inf for j > i.
  at::Tensor Square(int length);

  // Causal only. [heads, n + 1], fp32, n >= longest: of distance d (query - key) at n - d, so that the biases of
  // ascending keys lie in ascending places.
  const at::Tensor& ByDistance(int longest);

 private:
  at::Tensor MakeSquare(int length) const;

  at::Tensor table_;
  bool bidirectional_;
  int buckets_;
  int max_distance_;
  at::Tensor square_;  // any smaller one is its corner
  at::Tensor by_distance_;
};

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_POSITION_BIAS_H_
