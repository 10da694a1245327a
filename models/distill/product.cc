#include "models/distill/product.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>
#include <string_view>

namespace petit::distill {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

bool ByOneDnn(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && at::globalContext().hasMKLDNN() &&
         at::globalContext().userEnabledMkldnn();
}

// x weight^T, where `weight` may be a transposed view.
at::Tensor Multiply(const at::Tensor& x, const at::Tensor& weight) {
  using Scalars = c10::List<std::optional<at::Scalar>>;
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                                               std::string_view, Scalars, std::optional<std::string_view>)>();
  static const Scalars* const no_scalars = new Scalars();
  return op.call(x, weight, std::nullopt, "none", *no_scalars, "");
}

class ProductFunction : public Function<ProductFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight) {
    context->save_for_backward({x, weight});
    return Multiply(x, weight);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor dy = gradients[0].contiguous();
    // MKL takes transposed operands as they are; oneDNN would copy them.
    return {Multiply(dy, saved[1].t()), at::mm(dy.t(), saved[0])};
  }
};

}  // namespace

at::Tensor Product(const at::Tensor& x, const at::Tensor& weight) {
  return ByOneDnn(x) ? ProductFunction::apply(x, weight) : at::mm(x, weight.t());
}

at::Tensor PlainProduct(const at::Tensor& x, const at::Tensor& weight) {
  return ByOneDnn(x) ? Multiply(x, weight) : at::mm(x, weight.t());
}

}  // namespace petit::distill
