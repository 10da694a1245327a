// One student: its weights, its gradients, its optimizer.
#ifndef PETIT_MODELS_DISTILL_ARM_H_
#define PETIT_MODELS_DISTILL_ARM_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/distill/batch.h"
#include "models/distill/functions.h"
#include "models/distill/module.h"
#include "models/distill/settings.h"
#include "models/distill/teacher.h"

namespace petit::distill {

// Sums over target tokens (hidden: over source tokens, of the mean over d_model).
struct StepSums {
  double cross_entropy = 0;
  double smoothed_cross_entropy = 0;
  double kl = 0;
  double hidden = 0;

  void Add(const StepSums& other) {
    cross_entropy += other.cross_entropy;
    smoothed_cross_entropy += other.smoothed_cross_entropy;
    kl += other.kl;
    hidden += other.hidden;
  }
};

struct GradientInput {
  T5Module* module = nullptr;
  const Batch& batch;
  const TeacherOutputs& taught;
  double alpha = 0;
  const LossSettings& loss;
  std::int64_t distribution_size = 0;
  // Of the whole optimizer step, over all its micro-batches and tasks.
  std::int64_t total_target_tokens = 0;
  std::int64_t total_source_tokens = 0;
  TrainingPrecision precision = TrainingPrecision::kFp32;
  double dropout = 0;
  DropoutKeys* random = nullptr;
};

// Adds the gradients of a micro-batch's part of the step's loss to the parameters', and its losses to `sums`. May throw
// LibTorch's exceptions.
void AddGradients(const GradientInput& input, StepSums* sums);

// The schedule's factor of the learning rate at `step` (from 0) of `total`.
double ScheduleFactor(const OptimizerSettings& settings, std::int64_t step, std::int64_t total);

class Optimizer {
 public:
  Optimizer(const OptimizerSettings& settings, T5Module* module);

  // Clips, updates and forgets the gradients. Returns their norm before clipping. A norm that is not finite leaves the
  // weights as they are: the caller fails the run.
  double Step(double learning_rate);

  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }
  // First and second moments, in the parameters' order.
  std::vector<at::Tensor>& first_moments() { return m_; }
  std::vector<at::Tensor>& second_moments() { return v_; }

 private:
  const OptimizerSettings settings_;
  T5Module* const module_;
  std::vector<at::Tensor> m_;
  std::vector<at::Tensor> v_;
  std::int64_t steps_ = 0;
};

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_ARM_H_
