#include <algorithm>
#include <cmath>

#include "models/distill/dropout_mask.h"
#include "models/distill/kernels.h"
#include "models/torch/cpu_vector.h"

namespace petit::distill::kernels {
namespace {

using torch_executor::Exp;

// Sums stay in registers: loops go over lanes of a fixed number.
constexpr std::int64_t kLanes = 16;

PETIT_INLINE std::int64_t Padded(std::int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

// out[d][i] = rows[i][d], with 0 for i in [count, padded).
PETIT_INLINE void Transpose(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t width,
                            std::int64_t padded, float* out) {
  for (std::int64_t d = 0; d < width; ++d) std::fill(out + d * padded + count, out + (d + 1) * padded, 0.0F);
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t d = 0; d < width; ++d) out[d * padded + i] = rows[i * stride + d];
  }
}

// row[j] = sum over d of x[d] * transposed[d][j] for j < Padded(n).
PETIT_INLINE void RowTimes(const float* x, const float* transposed, std::int64_t padded, std::int64_t width,
                           std::int64_t n, float* row) {
  for (std::int64_t j = 0; j < n; j += kLanes) {
    float sums[kLanes] = {};
    for (std::int64_t d = 0; d < width; ++d) {
      const float* from = transposed + d * padded + j;
#pragma omp simd
      for (std::int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += x[d] * from[lane];
    }
    std::copy(sums, sums + kLanes, row + j);
  }
}

// y[:width] = sum over i of factors[i * step] * rows[i].
template <std::int64_t kWidth>
PETIT_INLINE void SumOfWidth(const float* factors, std::int64_t step, const float* rows, std::int64_t stride,
                             std::int64_t n, float* y) {
  float sums[kWidth] = {};
  for (std::int64_t i = 0; i < n; ++i) {
    const float factor = factors[i * step];
    const float* row = rows + i * stride;
#pragma omp simd
    for (std::int64_t d = 0; d < kWidth; ++d) sums[d] += factor * row[d];
  }
  std::copy(sums, sums + kWidth, y);
}

PETIT_INLINE void WeightedSum(const float* factors, std::int64_t step, const float* rows, std::int64_t stride,
                              std::int64_t n, std::int64_t width, float* y) {
  std::int64_t d = 0;
  for (; d + 32 <= width; d += 32) SumOfWidth<32>(factors, step, rows + d, stride, n, y + d);
  for (; d + 8 <= width; d += 8) SumOfWidth<8>(factors, step, rows + d, stride, n, y + d);
  for (; d < width; ++d) SumOfWidth<1>(factors, step, rows + d, stride, n, y + d);
}

// factors[j]: 0 or 1 / (1 - p) for key j of query i.
PETIT_INLINE void MaskRow(const Head& head, std::int64_t i, std::int64_t n, float* factors) {
  const DropoutMask mask(head.dropout_key, head.dropout);
  const auto first = static_cast<std::uint32_t>(i * head.keys);
#pragma omp simd
  for (std::int64_t j = 0; j < n; ++j) factors[j] = mask.Factor(first + static_cast<std::uint32_t>(j));
}

// Keys that query i may see.
PETIT_INLINE std::int64_t Visible(const Head& head, std::int64_t i) {
  return head.causal ? std::min(i + 1, head.keys) : head.keys;
}

}  // namespace

std::int64_t ForwardScratch(const Head& head) { return Padded(head.keys) * (head.width + 2); }
std::int64_t BackwardScratch(const Head& head) { return Padded(head.keys) * (head.width + 1 + 2 * head.queries); }

PETIT_CPU_CLONES void AttentionForward(const Head& head, const float* query, const float* key, const float* value,
                                       float* scratch, float* probabilities, float* out) {
  const std::int64_t padded = Padded(head.keys);
  float* const transposed = scratch;
  float* const row = transposed + padded * head.width;
  float* const factors = row + padded;
  Transpose(key, head.key_stride, head.keys, head.width, padded, transposed);
  for (std::int64_t i = 0; i < head.queries; ++i) {
    const std::int64_t n = Visible(head, i);
    RowTimes(query + i * head.query_stride, transposed, padded, head.width, n, row);
    if (head.bias != nullptr) {
      const int* const buckets = head.buckets + head.offset - i;
      for (std::int64_t j = 0; j < n; ++j) row[j] += head.bias[buckets[j]];
    }
    float max = row[0];
#pragma omp simd reduction(max : max)
    for (std::int64_t j = 0; j < n; ++j) max = row[j] > max ? row[j] : max;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t j = 0; j < n; ++j) {
      row[j] = Exp(row[j] - max);
      sum += row[j];
    }
    const float normal = 1.0F / sum;
    float* const kept = probabilities + i * head.keys;
#pragma omp simd
    for (std::int64_t j = 0; j < n; ++j) kept[j] = row[j] * normal;
    std::fill(kept + n, kept + head.keys, 0.0F);
    const float* weights = kept;
    if (head.dropout > 0) {
      MaskRow(head, i, n, factors);
#pragma omp simd
      for (std::int64_t j = 0; j < n; ++j) factors[j] *= kept[j];
      weights = factors;
    }
    WeightedSum(weights, 1, value, head.value_stride, n, head.width, out + i * head.out_stride);
  }
}

PETIT_CPU_CLONES void AttentionBackward(const Head& head, const float* query, const float* key, const float* value,
                                        const float* probabilities, const float* dout, float* scratch, float* dq,
                                        float* dk, float* dv, float* dbias) {
  const std::int64_t padded = Padded(head.keys);
  float* const transposed = scratch;  // of value
  float* const factors = transposed + padded * head.width;
  float* const scores = factors + padded;                 // gradients of the scores, [queries, padded]
  float* const dropped = scores + padded * head.queries;  // probabilities after dropout, likewise
  Transpose(value, head.value_stride, head.keys, head.width, padded, transposed);
  for (std::int64_t i = 0; i < head.queries; ++i) {
    const std::int64_t n = Visible(head, i);
    const float* const p = probabilities + i * head.keys;
    float* const gradient = scores + i * padded;
    float* const after = dropped + i * padded;
    RowTimes(dout + i * head.out_stride, transposed, padded, head.width, n, gradient);
    if (head.dropout > 0) {
      MaskRow(head, i, n, factors);
#pragma omp simd
      for (std::int64_t j = 0; j < n; ++j) {
        gradient[j] *= factors[j];
        after[j] = p[j] * factors[j];
      }
    } else {
      std::copy(p, p + n, after);
    }
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (std::int64_t j = 0; j < n; ++j) dot += p[j] * gradient[j];
#pragma omp simd
    for (std::int64_t j = 0; j < n; ++j) gradient[j] = p[j] * (gradient[j] - dot);
    if (dbias != nullptr) {
      const int* const buckets = head.buckets + head.offset - i;
      for (std::int64_t j = 0; j < n; ++j) dbias[buckets[j]] += gradient[j];
    }
    WeightedSum(gradient, 1, key, head.key_stride, n, head.width, dq + i * head.query_stride);
  }
  for (std::int64_t j = 0; j < head.keys; ++j) {
    // The first query that sees key j.
    const std::int64_t first = head.causal ? std::min(j, head.queries) : 0;
    const std::int64_t n = head.queries - first;
    const std::int64_t at = first * padded + j;
    WeightedSum(scores + at, padded, query + first * head.query_stride, head.query_stride, n, head.width,
                dk + j * head.key_stride);
    WeightedSum(dropped + at, padded, dout + first * head.out_stride, head.out_stride, n, head.width,
                dv + j * head.value_stride);
  }
}

}  // namespace petit::distill::kernels
