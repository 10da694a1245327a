// A linear layer without bias, in one of three precisions.
#ifndef PETIT_MODELS_TORCH_LINEAR_H_
#define PETIT_MODELS_TORCH_LINEAR_H_

#include <ATen/core/Tensor.h>
#include <ATen/native/quantized/PackedParams.h>

#include <cstdint>
#include <vector>

namespace petit::torch_executor {

// y = x W^T, W [out, in]. Several layers on the same input are one Linear: their weights one below the other.
class Linear {
 public:
  Linear() = default;

  // Floating point: `weight` [out, in] stays shared with the caller.
  static Linear Dense(const at::Tensor& weight);

  // Floating point, for the CPU: keeps a copy in oneDNN's own layout where that is faster (BF16 by a factor of two at
  // one row; fp32 if the layer is large), so that no call rearranges the weight. oneDNN compiles a kernel for each new
  // number of rows, 0.2-0.6 ms once.
  static Linear Packed(const at::Tensor& weight);

  // Whether Packed copies such a weight, so that the caller's may be reused at once.
  static bool PackedCopies(std::int64_t elements, at::ScalarType type, at::Device device);

  // INT8 as Python's quantize_dynamic({Linear}, qint8) makes it: each of `parts` (fp32, [out_i, in]) is quantised
  // symmetrically with a scale of its own, max|w| / 127.5 at least float's epsilon (MinMaxObserver, -128..127).
  // Activations are quantised at each call, 7 bits, one range for all rows: a row's result depends on its company.
  static Linear Quantized(const std::vector<at::Tensor>& parts);

  // x [n, in] -> [n, out]. Quantized: both fp32; else both of the weight's type.
  at::Tensor Apply(const at::Tensor& x) const;

  // residual [n, out] += Apply(x), in place.
  void AddTo(const at::Tensor& x, at::Tensor* residual) const;

  std::int64_t weight_bytes() const { return weight_bytes_; }

 private:
  // One of the three.
  at::Tensor transposed_;  // [in, out], a view
  at::Tensor reordered_;   // oneDNN's layout
  c10::intrusive_ptr<LinearPackedParamsBase> quantized_;
  std::int64_t weight_bytes_ = 0;
};

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_LINEAR_H_
