#include "models/torch/linear.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace petit::torch_executor {
namespace {

double WeightScale(const at::Tensor& weight) {
  const float max_abs = weight.abs().max().item<float>();
  return std::max(max_abs / 127.5F, std::numeric_limits<float>::epsilon());
}

c10::intrusive_ptr<LinearPackedParamsBase> Prepack(const at::Tensor& quantized) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("quantized::linear_prepack", "")
          .typed<c10::intrusive_ptr<LinearPackedParamsBase>(at::Tensor, std::optional<at::Tensor>)>();
  return op.call(quantized, std::nullopt);
}

}  // namespace

Linear Linear::Dense(at::Tensor weight) {
  Linear linear;
  linear.weight_bytes_ = static_cast<std::int64_t>(weight.nbytes());
  linear.transposed_ = weight.t();
  return linear;
}

Linear Linear::Quantized(const std::vector<at::Tensor>& parts) {
  Linear linear;
  if (parts.size() == 1) {
    linear.packed_ = Prepack(at::quantize_per_tensor(parts[0], WeightScale(parts[0]), 0, at::kQInt8));
  } else {
    // One scale per output channel holds several per-tensor scales without a change of any number.
    std::vector<at::Tensor> values;
    std::vector<at::Tensor> scales;
    for (const at::Tensor& part : parts) {
      const double scale = WeightScale(part);
      values.push_back(at::quantize_per_tensor(part, scale, 0, at::kQInt8).int_repr());
      scales.push_back(at::full({part.size(0)}, scale, at::kDouble));
    }
    const at::Tensor all_scales = at::cat(scales);
    linear.packed_ = Prepack(at::_make_per_channel_quantized_tensor(at::cat(values), all_scales,
                                                                    at::zeros({all_scales.size(0)}, at::kLong), 0));
  }
  for (const at::Tensor& part : parts) linear.weight_bytes_ += part.numel();
  return linear;
}

at::Tensor Linear::Apply(const at::Tensor& x) const {
  return packed_ ? packed_->apply_dynamic(x, /*reduce_range=*/true) : at::mm(x, transposed_);
}

void Linear::AddTo(const at::Tensor& x, at::Tensor* residual) const {
  if (packed_) {
    residual->add_(packed_->apply_dynamic(x, /*reduce_range=*/true));
  } else {
    residual->addmm_(x, transposed_);
  }
}

}  // namespace petit::torch_executor
