#include "models/torch/cpu_kernels.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>

#include "models/torch/cpu_vector.h"

namespace petit::torch_executor {
namespace {

// Elements below which waking another thread costs more than it brings.
constexpr std::int64_t kGrainElements = 32768;

template <typename T>
PETIT_INLINE void NormRows(const T* x, const T* weight, T* y, std::int64_t rows, std::int64_t width, float epsilon) {
  for (std::int64_t row = 0; row < rows; ++row, x += width, y += width) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < width; ++i) sum += ToFloat(x[i]) * ToFloat(x[i]);
    const float scale = 1.0F / std::sqrt(sum / static_cast<float>(width) + epsilon);
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) {
      y[i] = FromFloat<T>(ToFloat(weight[i]) * ToFloat(FromFloat<T>(ToFloat(x[i]) * scale)));
    }
  }
}

PETIT_CPU_CLONES void NormFloat(const float* x, const float* weight, float* y, std::int64_t rows, std::int64_t width,
                                float epsilon) {
  NormRows(x, weight, y, rows, width, epsilon);
}
PETIT_CPU_CLONES void NormBf16(const BFloat16* x, const BFloat16* weight, BFloat16* y, std::int64_t rows,
                               std::int64_t width, float epsilon) {
  NormRows(x, weight, y, rows, width, epsilon);
}

template <t5::Activation kActivation>
PETIT_INLINE float Activate(float x) {
  if constexpr (kActivation == t5::Activation::kRelu) return x > 0 ? x : 0.0F;
  if constexpr (kActivation == t5::Activation::kSilu) return x / (1.0F + Exp(-x));
  if constexpr (kActivation == t5::Activation::kGelu) return 0.5F * x * (1.0F + std::erf(x * 0.70710678118654752F));
  constexpr float kTwoRootTwoOverPi = 1.59576912160573071F;
  return x / (1.0F + Exp(-kTwoRootTwoOverPi * (x + 0.044715F * x * x * x)));
}

template <t5::Activation kActivation, typename T>
PETIT_INLINE void ActivateRows(const T* x, T* y, std::int64_t rows, std::int64_t width, bool gated) {
  if (!gated) {
#pragma omp simd
    for (std::int64_t i = 0; i < rows * width; ++i) y[i] = FromFloat<T>(Activate<kActivation>(ToFloat(x[i])));
    return;
  }
  for (std::int64_t row = 0; row < rows; ++row, x += 2 * width, y += width) {
    const T* gate = x + width;
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) {
      y[i] = FromFloat<T>(Activate<kActivation>(ToFloat(x[i])) * ToFloat(gate[i]));
    }
  }
}

template <typename T>
PETIT_INLINE void ActivateAny(t5::Activation activation, const T* x, T* y, std::int64_t rows, std::int64_t width,
                              bool gated) {
  switch (activation) {
    case t5::Activation::kRelu:
      return ActivateRows<t5::Activation::kRelu>(x, y, rows, width, gated);
    case t5::Activation::kGeluNew:
      return ActivateRows<t5::Activation::kGeluNew>(x, y, rows, width, gated);
    case t5::Activation::kGelu:
      return ActivateRows<t5::Activation::kGelu>(x, y, rows, width, gated);
    case t5::Activation::kSilu:
      return ActivateRows<t5::Activation::kSilu>(x, y, rows, width, gated);
  }
}

PETIT_CPU_CLONES void ActivateFloat(t5::Activation activation, const float* x, float* y, std::int64_t rows,
                                    std::int64_t width, bool gated) {
  ActivateAny(activation, x, y, rows, width, gated);
}
PETIT_CPU_CLONES void ActivateBf16(t5::Activation activation, const BFloat16* x, BFloat16* y, std::int64_t rows,
                                   std::int64_t width, bool gated) {
  ActivateAny(activation, x, y, rows, width, gated);
}

const BFloat16* Bf16(const at::Tensor& tensor) { return static_cast<const BFloat16*>(tensor.const_data_ptr()); }
BFloat16* MutableBf16(const at::Tensor& tensor) { return static_cast<BFloat16*>(tensor.mutable_data_ptr()); }

void ForRows(std::int64_t rows, std::int64_t width, const std::function<void(std::int64_t, std::int64_t)>& f) {
  if (rows * width <= kGrainElements) return f(0, rows);
  at::parallel_for(0, rows, std::max<std::int64_t>(1, kGrainElements / width), f);
}

}  // namespace

at::Tensor CpuRmsNorm(const at::Tensor& x, const at::Tensor& weight, float epsilon) {
  at::Tensor y = at::empty_like(x);
  const std::int64_t width = x.size(1);
  if (x.scalar_type() == at::kFloat) {
    const float* in = x.const_data_ptr<float>();
    float* out = y.mutable_data_ptr<float>();
    const float* w = weight.const_data_ptr<float>();
    ForRows(x.size(0), width, [=](std::int64_t begin, std::int64_t end) {
      NormFloat(in + begin * width, w, out + begin * width, end - begin, width, epsilon);
    });
  } else {
    const BFloat16* in = Bf16(x);
    BFloat16* out = MutableBf16(y);
    const BFloat16* w = Bf16(weight);
    ForRows(x.size(0), width, [=](std::int64_t begin, std::int64_t end) {
      NormBf16(in + begin * width, w, out + begin * width, end - begin, width, epsilon);
    });
  }
  return y;
}

at::Tensor CpuActivation(const at::Tensor& x, t5::Activation activation, bool gated) {
  const std::int64_t in_width = x.size(1);
  const std::int64_t width = gated ? in_width / 2 : in_width;
  at::Tensor y = at::empty({x.size(0), width}, x.options());
  if (x.scalar_type() == at::kFloat) {
    const float* in = x.const_data_ptr<float>();
    float* out = y.mutable_data_ptr<float>();
    ForRows(x.size(0), width, [=](std::int64_t begin, std::int64_t end) {
      ActivateFloat(activation, in + begin * in_width, out + begin * width, end - begin, width, gated);
    });
  } else {
    const BFloat16* in = Bf16(x);
    BFloat16* out = MutableBf16(y);
    ForRows(x.size(0), width, [=](std::int64_t begin, std::int64_t end) {
      ActivateBf16(activation, in + begin * in_width, out + begin * width, end - begin, width, gated);
    });
  }
  return y;
}

}  // namespace petit::torch_executor
