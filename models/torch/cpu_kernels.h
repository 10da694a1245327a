// Fused kernels for the CPU, where one LibTorch operation after the other would spend more time between the operations
// than in them. Tensors must be contiguous, on the CPU, fp32 or BF16; BF16 is computed in fp32.
#ifndef PETIT_MODELS_TORCH_CPU_KERNELS_H_
#define PETIT_MODELS_TORCH_CPU_KERNELS_H_

#include <ATen/core/Tensor.h>

#include "models/t5/config.h"

namespace petit::torch_executor {

// RMS norm over the last dimension: w * (x * rsqrt(mean(x^2) + epsilon)); in BF16 the bracket is rounded before the
// product, as Hugging Face's T5LayerNorm does. x [n, d], weight [d] -> [n, d].
at::Tensor CpuRmsNorm(const at::Tensor& x, const at::Tensor& weight, float epsilon);

// The feed-forward's activation. Gated: x [n, 2f] -> act(x[:, :f]) * x[:, f:]; else x [n, f] -> act(x).
// GELU's tanh form by 0.5(1 + tanh(u)) = 1 / (1 + exp(-2u)).
at::Tensor CpuActivation(const at::Tensor& x, t5::Activation activation, bool gated);

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_CPU_KERNELS_H_
