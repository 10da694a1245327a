#include <algorithm>
#include <cmath>

#include "models/distill/dropout_mask.h"
#include "models/distill/kernels.h"
#include "models/torch/cpu_vector.h"

namespace petit::distill::kernels {
namespace {

using torch_executor::Exp;
using torch_executor::FromFloat;
using torch_executor::ToFloat;

// Elements that are worked on at a time, in fp32 and in the cache. With loops that only convert and loops that only
// compute GCC vectorises both.
constexpr std::int64_t kBlock = 256;

template <typename T>
PETIT_INLINE void Load(const T* from, std::int64_t n, float* to) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) to[i] = ToFloat(from[i]);
}

template <typename T>
PETIT_INLINE void Store(const float* from, std::int64_t n, T* to) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) to[i] = FromFloat<T>(from[i]);
}

constexpr float kTwoRootTwoOverPi = 1.59576912160573071F;

// act(x) and its derivative.
template <t5::Activation kActivation>
PETIT_INLINE void ActivateWithSlope(float x, float* y, float* slope) {
  if constexpr (kActivation == t5::Activation::kRelu) {
    *y = x > 0 ? x : 0.0F;
    *slope = x > 0 ? 1.0F : 0.0F;
  } else if constexpr (kActivation == t5::Activation::kSilu) {
    const float s = 1.0F / (1.0F + Exp(-x));
    *y = x * s;
    *slope = s * (1.0F + x * (1.0F - s));
  } else if constexpr (kActivation == t5::Activation::kGelu) {
    const float phi = 0.5F * (1.0F + std::erf(x * 0.70710678118654752F));
    *y = x * phi;
    *slope = phi + x * 0.39894228040143268F * Exp(-0.5F * x * x);
  } else {
    // 0.5 (1 + tanh(u / 2)) = 1 / (1 + exp(-u)), u = 2 sqrt(2 / pi) (x + 0.044715 x^3)
    const float s = 1.0F / (1.0F + Exp(-kTwoRootTwoOverPi * (x + 0.044715F * x * x * x)));
    *y = x * s;
    *slope = s + x * s * (1.0F - s) * kTwoRootTwoOverPi * (1.0F + 0.134145F * x * x);
  }
}

template <t5::Activation kActivation, typename T>
PETIT_INLINE void ActivateRows(bool gated, const T* x, std::int64_t rows, std::int64_t width, T* y) {
  float in[kBlock];
  float gates[kBlock];
  const std::int64_t stride = gated ? 2 * width : width;
  for (std::int64_t row = 0; row < rows; ++row, x += stride, y += width) {
    for (std::int64_t first = 0; first < width; first += kBlock) {
      const std::int64_t n = std::min(kBlock, width - first);
      Load(x + first, n, in);
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i) {
        float slope;
        ActivateWithSlope<kActivation>(in[i], &in[i], &slope);
      }
      if (gated) {
        Load(x + width + first, n, gates);
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) in[i] *= gates[i];
      }
      Store(in, n, y + first);
    }
  }
}

template <t5::Activation kActivation, typename T>
PETIT_INLINE void ActivateRowsBackward(bool gated, const T* x, const T* dy, std::int64_t rows, std::int64_t width,
                                       T* dx) {
  float in[kBlock];
  float gates[kBlock];
  float gradients[kBlock];
  const std::int64_t stride = gated ? 2 * width : width;
  for (std::int64_t row = 0; row < rows; ++row, x += stride, dx += stride, dy += width) {
    for (std::int64_t first = 0; first < width; first += kBlock) {
      const std::int64_t n = std::min(kBlock, width - first);
      Load(x + first, n, in);
      Load(dy + first, n, gradients);
      if (gated) {
        Load(x + width + first, n, gates);
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) {
          float value;
          float slope;
          ActivateWithSlope<kActivation>(in[i], &value, &slope);
          in[i] = gradients[i] * gates[i] * slope;
          gates[i] = gradients[i] * value;
        }
        Store(gates, n, dx + width + first);
      } else {
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) {
          float value;
          float slope;
          ActivateWithSlope<kActivation>(in[i], &value, &slope);
          in[i] = gradients[i] * slope;
        }
      }
      Store(in, n, dx + first);
    }
  }
}

template <typename T, typename U>
PETIT_INLINE void DropElements(std::uint64_t key, float p, std::int64_t begin, std::int64_t end, const T* x, U* y) {
  float block[kBlock];
  const DropoutMask mask(key, p);
  for (std::int64_t first = begin; first < end; first += kBlock) {
    const std::int64_t n = std::min(kBlock, end - first);
    Load(x + first, n, block);
    if (p > 0) {
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i) block[i] *= mask.Factor(static_cast<std::uint32_t>(first + i));
    }
    Store(block, n, y + first);
  }
}

template <typename T>
PETIT_INLINE void AddDroppedElements(std::uint64_t key, float p, std::int64_t begin, std::int64_t end, const float* x,
                                     const T* y, float* z) {
  float block[kBlock];
  for (std::int64_t first = begin; first < end; first += kBlock) {
    const std::int64_t n = std::min(kBlock, end - first);
    const DropoutMask mask(key, p);
    Load(y + first, n, block);
    if (p > 0) {
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i) block[i] *= mask.Factor(static_cast<std::uint32_t>(first + i));
    }
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) z[first + i] = x[first + i] + block[i];
  }
}

template <typename T>
PETIT_INLINE void NormRows(const float* x, const float* weight, float epsilon, std::int64_t rows, std::int64_t width,
                           T* y, float* r) {
  float block[kBlock];
  for (std::int64_t row = 0; row < rows; ++row, x += width, y += width) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < width; ++i) sum += x[i] * x[i];
    const float scale = 1.0F / std::sqrt(sum / static_cast<float>(width) + epsilon);
    r[row] = scale;
    for (std::int64_t first = 0; first < width; first += kBlock) {
      const std::int64_t n = std::min(kBlock, width - first);
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i) block[i] = weight[first + i] * x[first + i] * scale;
      Store(block, n, y + first);
    }
  }
}

template <typename T>
PETIT_INLINE void NormRowsBackward(const T* dy, const float* x, const float* weight, const float* r, std::int64_t rows,
                                   std::int64_t width, float* dx, float* dw) {
  float block[kBlock];
  for (std::int64_t row = 0; row < rows; ++row, x += width, dy += width, dx += width) {
    const float scale = r[row];
    float dot = 0;
    for (std::int64_t first = 0; first < width; first += kBlock) {
      const std::int64_t n = std::min(kBlock, width - first);
      Load(dy + first, n, block);
#pragma omp simd reduction(+ : dot)
      for (std::int64_t i = 0; i < n; ++i) dot += weight[first + i] * block[i] * x[first + i];
    }
    const float back = dot * scale * scale * scale / static_cast<float>(width);
    for (std::int64_t first = 0; first < width; first += kBlock) {
      const std::int64_t n = std::min(kBlock, width - first);
      Load(dy + first, n, block);
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i) {
        dx[first + i] = scale * weight[first + i] * block[i] - x[first + i] * back;
        dw[first + i] += block[i] * x[first + i] * scale;
      }
    }
  }
}

}  // namespace

PETIT_CPU_CLONES void Dropout(std::uint64_t key, float p, std::int64_t begin, std::int64_t end, const float* x,
                              float* y) {
  DropElements(key, p, begin, end, x, y);
}
PETIT_CPU_CLONES void Dropout(std::uint64_t key, float p, std::int64_t begin, std::int64_t end, const float* x,
                              BFloat16* y) {
  DropElements(key, p, begin, end, x, y);
}
PETIT_CPU_CLONES void Dropout(std::uint64_t key, float p, std::int64_t begin, std::int64_t end, const BFloat16* x,
                              BFloat16* y) {
  DropElements(key, p, begin, end, x, y);
}

PETIT_CPU_CLONES void AddDropped(std::uint64_t key, float p, std::int64_t begin, std::int64_t end, const float* x,
                                 const float* y, float* z) {
  AddDroppedElements(key, p, begin, end, x, y, z);
}
PETIT_CPU_CLONES void AddDropped(std::uint64_t key, float p, std::int64_t begin, std::int64_t end, const float* x,
                                 const BFloat16* y, float* z) {
  AddDroppedElements(key, p, begin, end, x, y, z);
}

PETIT_CPU_CLONES void RmsNorm(const float* x, const float* weight, float epsilon, std::int64_t rows, std::int64_t width,
                              float* y, float* r) {
  NormRows(x, weight, epsilon, rows, width, y, r);
}
PETIT_CPU_CLONES void RmsNorm(const float* x, const float* weight, float epsilon, std::int64_t rows, std::int64_t width,
                              BFloat16* y, float* r) {
  NormRows(x, weight, epsilon, rows, width, y, r);
}

PETIT_CPU_CLONES void RmsNormBackward(const float* dy, const float* x, const float* weight, const float* r,
                                      std::int64_t rows, std::int64_t width, float* dx, float* dw) {
  NormRowsBackward(dy, x, weight, r, rows, width, dx, dw);
}
PETIT_CPU_CLONES void RmsNormBackward(const BFloat16* dy, const float* x, const float* weight, const float* r,
                                      std::int64_t rows, std::int64_t width, float* dx, float* dw) {
  NormRowsBackward(dy, x, weight, r, rows, width, dx, dw);
}

#define PETIT_BY_ACTIVATION(FUNCTION, ...)                    \
  switch (activation) {                                       \
    case t5::Activation::kRelu:                               \
      return FUNCTION<t5::Activation::kRelu>(__VA_ARGS__);    \
    case t5::Activation::kGeluNew:                            \
      return FUNCTION<t5::Activation::kGeluNew>(__VA_ARGS__); \
    case t5::Activation::kGelu:                               \
      return FUNCTION<t5::Activation::kGelu>(__VA_ARGS__);    \
    case t5::Activation::kSilu:                               \
      return FUNCTION<t5::Activation::kSilu>(__VA_ARGS__);    \
  }

PETIT_CPU_CLONES void Activation(t5::Activation activation, bool gated, const float* x, std::int64_t rows,
                                 std::int64_t width,
                                 float* y){PETIT_BY_ACTIVATION(ActivateRows, gated, x, rows, width, y)} PETIT_CPU_CLONES
    void Activation(t5::Activation activation, bool gated, const BFloat16* x, std::int64_t rows, std::int64_t width,
                    BFloat16* y){PETIT_BY_ACTIVATION(ActivateRows, gated, x, rows, width, y)}

PETIT_CPU_CLONES void ActivationBackward(t5::Activation activation, bool gated, const float* x, const float* dy,
                                         std::int64_t rows, std::int64_t width, float* dx){
    PETIT_BY_ACTIVATION(ActivateRowsBackward, gated, x, dy, rows, width, dx)} PETIT_CPU_CLONES
    void ActivationBackward(t5::Activation activation, bool gated, const BFloat16* x, const BFloat16* dy,
                            std::int64_t rows, std::int64_t width, BFloat16* dx) {
  PETIT_BY_ACTIVATION(ActivateRowsBackward, gated, x, dy, rows, width, dx)
}

}  // namespace petit::distill::kernels
