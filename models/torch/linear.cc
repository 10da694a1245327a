#include "models/torch/linear.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/cpu/Utils.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>

namespace petit::torch_executor {
namespace {

double WeightScale(const at::Tensor& weight) {
  const auto [lowest, highest] = at::aminmax(weight);  // abs() would be another tensor of the weight's size
  const float max_abs = std::max(-lowest.item<float>(), highest.item<float>());
  return std::max(max_abs / 127.5F, std::numeric_limits<float>::epsilon());
}

c10::intrusive_ptr<LinearPackedParamsBase> Prepack(const at::Tensor& quantized) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("quantized::linear_prepack", "")
          .typed<c10::intrusive_ptr<LinearPackedParamsBase>(at::Tensor, std::optional<at::Tensor>)>();
  return op.call(quantized, std::nullopt);
}

// Below this an fp32 layer gains less from oneDNN's layout than its calls, some 6 us dearer, cost.
constexpr std::int64_t kMinReorderedElements = 1 << 17;

at::Tensor Reorder(const at::Tensor& weight) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("mkldnn::_reorder_linear_weight", "")
                             .typed<at::Tensor(const at::Tensor&, std::optional<c10::SymInt>)>();
  return op.call(weight, c10::SymInt(32));  // rows that the layout is chosen for; any number runs
}

using Scalars = c10::List<std::optional<at::Scalar>>;

at::Tensor ApplyReordered(const at::Tensor& x, const at::Tensor& weight) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                                               std::string_view, Scalars, std::optional<std::string_view>)>();
  static const Scalars* const no_scalars = new Scalars();
  return op.call(x, weight, std::nullopt, "none", *no_scalars, "");
}

}  // namespace

bool Linear::PackedCopies(std::int64_t elements, at::ScalarType type, at::Device device) {
  if (!device.is_cpu() || !at::globalContext().hasMKLDNN() || !at::globalContext().userEnabledMkldnn()) return false;
  if (type == at::kBFloat16) return at::cpu::is_avx512_vnni_supported();
  return elements >= kMinReorderedElements;
}

Linear Linear::Packed(const at::Tensor& weight) {
  if (!PackedCopies(weight.numel(), weight.scalar_type(), weight.device())) return Dense(weight);
  Linear linear;
  linear.weight_bytes_ = static_cast<std::int64_t>(weight.nbytes());
  linear.reordered_ = Reorder(weight);
  return linear;
}

Linear Linear::Dense(const at::Tensor& weight) {
  Linear linear;
  linear.weight_bytes_ = static_cast<std::int64_t>(weight.nbytes());
  linear.transposed_ = weight.t();
  return linear;
}

Linear Linear::Quantized(const std::vector<at::Tensor>& parts) {
  Linear linear;
  if (parts.size() == 1) {
    linear.quantized_ = Prepack(at::quantize_per_tensor(parts[0], WeightScale(parts[0]), 0, at::kQInt8));
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
    linear.quantized_ = Prepack(at::_make_per_channel_quantized_tensor(at::cat(values), all_scales,
                                                                       at::zeros({all_scales.size(0)}, at::kLong), 0));
  }
  for (const at::Tensor& part : parts) linear.weight_bytes_ += part.numel();
  return linear;
}

at::Tensor Linear::Apply(const at::Tensor& x) const {
  if (quantized_) return quantized_->apply_dynamic(x, /*reduce_range=*/true);
  return reordered_.defined() ? ApplyReordered(x, reordered_) : at::mm(x, transposed_);
}

void Linear::AddTo(const at::Tensor& x, at::Tensor* residual) const {
  if (transposed_.defined()) {
    residual->addmm_(x, transposed_);
  } else {
    residual->add_(Apply(x));
  }
}

}  // namespace petit::torch_executor
