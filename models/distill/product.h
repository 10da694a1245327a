// The product that every linear layer is, as a differentiable function.
#ifndef PETIT_MODELS_DISTILL_PRODUCT_H_
#define PETIT_MODELS_DISTILL_PRODUCT_H_

#include <ATen/core/Tensor.h>

namespace petit::distill {

// x [n, in], weight [out, in] of one type -> x weight^T [n, out]. LibTorch gives fp32 products to MKL, whose kernels
// for AMD's processors reach nine tenths of oneDNN's; where there is a choice, oneDNN is asked here.
at::Tensor Product(const at::Tensor& x, const at::Tensor& weight);

// The same without a gradient.
at::Tensor PlainProduct(const at::Tensor& x, const at::Tensor& weight);

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_PRODUCT_H_
