#include "models/distill/arm.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "models/distill/kernels.h"
#include "models/t5/tensors.h"

namespace petit::distill {
namespace {

constexpr double kMinRms = 1e-3;  // Adafactor's epsilon_2
constexpr std::int64_t kGrain = 32768;

void AddTo(const at::Tensor& parameter, const at::Tensor& gradient) {
  at::Tensor& sum = parameter.mutable_grad();
  if (sum.defined()) {
    sum.add_(gradient);
  } else {
    sum = gradient;
  }
}

void Update(const kernels::AdamStep& step, const at::Tensor& gradient, const at::Tensor& value, const at::Tensor& m,
            const at::Tensor& v) {
  if (value.is_cpu()) {
    const at::Tensor g = gradient.contiguous();
    const float* from = g.const_data_ptr<float>();
    float* to = value.mutable_data_ptr<float>();
    float* first = m.mutable_data_ptr<float>();
    float* second = v.mutable_data_ptr<float>();
    at::parallel_for(0, value.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels::AdamW(step, end - begin, from + begin, to + begin, first + begin, second + begin);
    });
    return;
  }
  const at::Tensor g = gradient * step.gradient_scale;
  m.mul_(step.beta1).add_(g, 1 - step.beta1);
  v.mul_(step.beta2).addcmul_(g, g, 1 - step.beta2);
  value.mul_(1 - step.decay);
  value.addcdiv_(m, v.sqrt().div_(std::sqrt(step.bias2)).add_(step.epsilon), -step.rate / step.bias1);
}

}  // namespace

void AddGradients(const GradientInput& input, StepSums* sums) {
  const T5Module::Outputs outputs = input.module->Forward(input.batch, input.precision, input.dropout, input.random);
  const LossOutput loss = DistillationLoss({.hidden = outputs.hidden.detach(),
                                            .output_weight = outputs.output_weight.detach(),
                                            .targets = input.batch.targets,
                                            .teacher = input.taught.targets,
                                            .alpha = input.alpha,
                                            .loss = input.loss,
                                            .distribution_size = input.distribution_size,
                                            .scale = 1.0 / static_cast<double>(input.total_target_tokens)});
  sums->cross_entropy += loss.cross_entropy;
  sums->smoothed_cross_entropy += loss.smoothed_cross_entropy;
  sums->kl += loss.kl;
  std::vector<at::Tensor> roots = {outputs.hidden};
  std::vector<at::Tensor> gradients = {loss.hidden_gradient};
  if (input.loss.hidden_state_weight > 0 && input.taught.encoded.defined()) {
    const at::NoGradGuard no_gradient;
    const at::Tensor difference = outputs.encoded.detach() - input.taught.encoded;
    const double width = static_cast<double>(difference.size(1));
    sums->hidden += difference.square().sum().item<double>() / width;
    roots.push_back(outputs.encoded);
    gradients.push_back(
        difference * (2 * input.loss.hidden_state_weight / (static_cast<double>(input.total_source_tokens) * width)));
  }
  torch::autograd::backward(roots, gradients);
  const at::NoGradGuard no_gradient;
  const std::string output_name(input.module->config().tie_word_embeddings ? t5::kSharedEmbedding : t5::kLmHead);
  AddTo(input.module->parameter(output_name), loss.output_weight_gradient);
}

double ScheduleFactor(const OptimizerSettings& settings, std::int64_t step, std::int64_t total) {
  if (step < settings.warmup_steps) return static_cast<double>(step + 1) / static_cast<double>(settings.warmup_steps);
  if (settings.schedule == Schedule::kConstant || total <= settings.warmup_steps) return 1;
  const double done =
      static_cast<double>(step - settings.warmup_steps) / static_cast<double>(total - settings.warmup_steps);
  if (settings.schedule == Schedule::kLinear) return std::max(0.0, 1 - done);
  return 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, done)));
}

Optimizer::Optimizer(const OptimizerSettings& settings, T5Module* module) : settings_(settings), module_(module) {
  const at::NoGradGuard no_gradient;
  for (const Parameter& parameter : module->parameters()) {
    m_.push_back(at::zeros_like(parameter.value));
    v_.push_back(at::zeros_like(parameter.value));
  }
}

double Optimizer::Step(double learning_rate) {
  const at::NoGradGuard no_gradient;
  double square = 0;
  for (const Parameter& parameter : module_->parameters()) {
    if (!parameter.value.grad().defined()) continue;
    const double norm = parameter.value.grad().norm().item<double>();
    square += norm * norm;
  }
  const double norm = std::sqrt(square);
  if (!std::isfinite(norm)) return norm;
  ++steps_;
  kernels::AdamStep step;
  step.beta1 = static_cast<float>(settings_.beta1);
  step.beta2 = static_cast<float>(settings_.beta2);
  step.epsilon = static_cast<float>(settings_.epsilon);
  step.bias1 = static_cast<float>(1 - std::pow(settings_.beta1, steps_));
  step.bias2 = static_cast<float>(1 - std::pow(settings_.beta2, steps_));
  const double limit = settings_.max_gradient_norm;
  step.gradient_scale = limit > 0 && norm > limit ? static_cast<float>(limit / (norm + 1e-6)) : 1.0F;
  for (std::size_t i = 0; i < m_.size(); ++i) {
    const Parameter& parameter = module_->parameters()[i];
    at::Tensor& gradient = parameter.value.mutable_grad();
    if (!gradient.defined()) continue;
    double rate = learning_rate;
    if (settings_.kind == OptimizerKind::kAdamWRmsScaled) {
      const double rms =
          parameter.value.norm().item<double>() / std::sqrt(static_cast<double>(parameter.value.numel()));
      rate *= std::max(kMinRms, rms);
    }
    step.rate = static_cast<float>(rate);
    step.decay = static_cast<float>(learning_rate * settings_.weight_decay);
    Update(step, gradient, parameter.value, m_[i], v_[i]);
    gradient.reset();
  }
  return norm;
}

}  // namespace petit::distill
