#include <algorithm>
#include <cmath>

#include "models/distill/dropout_mask.h"
#include "models/distill/kernels.h"
#include "models/torch/cpu_vector.h"

namespace petit::distill::kernels {
namespace {

using torch_executor::Exp;

// out[d][i] = rows[i][d]
PETIT_INLINE void Transpose(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t width,
                            float* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t d = 0; d < width; ++d) out[d * count + i] = rows[i * stride + d];
  }
}

// y[i] = or += factor * x[i]
PETIT_INLINE void AddScaled(float factor, const float* x, std::int64_t n, float* y) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

// row[j] = sum over d of x[d] * transposed[d][j], for j < n.
PETIT_INLINE void RowTimes(const float* x, const float* transposed, std::int64_t count, std::int64_t width,
                           std::int64_t n, float* row) {
  std::fill(row, row + n, 0.0F);
  for (std::int64_t d = 0; d < width; ++d) AddScaled(x[d], transposed + d * count, n, row);
}

// factors[j]: 0 or 1 / (1 - p) for key j of query i.
PETIT_INLINE void MaskRow(const Head& head, std::int64_t i, std::int64_t n, float* factors) {
  const DropoutMask mask(head.dropout_key, head.dropout);
  const auto first = static_cast<std::uint32_t>(i * head.keys);
#pragma omp simd
  for (std::int64_t j = 0; j < n; ++j) factors[j] = mask.Factor(first + static_cast<std::uint32_t>(j));
}

}  // namespace

std::int64_t ForwardScratch(const Head& head) { return head.keys * head.width + head.keys; }
std::int64_t BackwardScratch(const Head& head) { return head.keys * head.width + 2 * head.keys; }

PETIT_CPU_CLONES void AttentionForward(const Head& head, const float* query, const float* key, const float* value,
                                       float* scratch, float* probabilities, float* out) {
  float* const transposed = scratch;
  float* const factors = scratch + head.keys * head.width;
  Transpose(key, head.key_stride, head.keys, head.width, transposed);
  for (std::int64_t i = 0; i < head.queries; ++i) {
    const std::int64_t n = head.causal ? std::min(i + 1, head.keys) : head.keys;
    float* const row = probabilities + i * head.keys;
    RowTimes(query + i * head.query_stride, transposed, head.keys, head.width, n, row);
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
#pragma omp simd
    for (std::int64_t j = 0; j < n; ++j) row[j] *= normal;
    std::fill(row + n, row + head.keys, 0.0F);

    float* const y = out + i * head.out_stride;
    std::fill(y, y + head.width, 0.0F);
    if (head.dropout > 0) {
      MaskRow(head, i, n, factors);
      for (std::int64_t j = 0; j < n; ++j) {
        AddScaled(row[j] * factors[j], value + j * head.value_stride, head.width, y);
      }
    } else {
      for (std::int64_t j = 0; j < n; ++j) AddScaled(row[j], value + j * head.value_stride, head.width, y);
    }
  }
}

PETIT_CPU_CLONES void AttentionBackward(const Head& head, const float* query, const float* key, const float* value,
                                        const float* probabilities, const float* dout, float* scratch, float* dq,
                                        float* dk, float* dv, float* dbias) {
  float* const transposed = scratch;  // of value
  float* const gradient = scratch + head.keys * head.width;
  float* const factors = gradient + head.keys;
  Transpose(value, head.value_stride, head.keys, head.width, transposed);
  for (std::int64_t j = 0; j < head.keys; ++j) {
    std::fill(dk + j * head.key_stride, dk + j * head.key_stride + head.width, 0.0F);
    std::fill(dv + j * head.value_stride, dv + j * head.value_stride + head.width, 0.0F);
  }
  for (std::int64_t i = 0; i < head.queries; ++i) {
    const std::int64_t n = head.causal ? std::min(i + 1, head.keys) : head.keys;
    const float* const p = probabilities + i * head.keys;
    const float* const dy = dout + i * head.out_stride;
    RowTimes(dy, transposed, head.keys, head.width, n, gradient);
    if (head.dropout > 0) {
      MaskRow(head, i, n, factors);
#pragma omp simd
      for (std::int64_t j = 0; j < n; ++j) gradient[j] *= factors[j];
      for (std::int64_t j = 0; j < n; ++j) AddScaled(p[j] * factors[j], dy, head.width, dv + j * head.value_stride);
    } else {
      for (std::int64_t j = 0; j < n; ++j) AddScaled(p[j], dy, head.width, dv + j * head.value_stride);
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
    const float* const x = query + i * head.query_stride;
    float* const dx = dq + i * head.query_stride;
    std::fill(dx, dx + head.width, 0.0F);
    for (std::int64_t j = 0; j < n; ++j) {
      AddScaled(gradient[j], key + j * head.key_stride, head.width, dx);
      AddScaled(gradient[j], x, head.width, dk + j * head.key_stride);
    }
  }
}

}  // namespace petit::distill::kernels
