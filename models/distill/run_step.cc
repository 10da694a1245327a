#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "models/distill/run.h"

namespace petit::distill {
namespace {

constexpr double kProgressSeconds = 1;

double Seconds(Run::Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

absl::StatusOr<Outcome> Run::Go() {
  if (absl::Status status = SetUp(); !status.ok()) return status;
  if (absl::Status status = Resume(); !status.ok()) return status;
  if (leads()) observer_->OnStarted(state_.step);
  if (absl::Status status = EvaluateBeginning(); !status.ok()) return Interrupted(status);
  progress_began_ = Clock::now();
  saved_ = Clock::now();
  while (true) {
    if (EvaluationIsDue()) {
      if (absl::Status status = EvaluateArms(); !status.ok()) return Interrupted(status);
    }
    if (state_.step == total_steps_) break;
    if (absl::Status status = TrainStep(); !status.ok()) return status;
    ReportIfTimely(/*last=*/state_.step == total_steps_);
    const absl::StatusOr<bool> stopping = AnyTaskStops();
    if (!stopping.ok()) return stopping.status();
    if (*stopping) return Interrupted(absl::CancelledError("asked to stop"));
    if (Seconds(Clock::now() - saved_) >= settings_.checkpoint_seconds) {
      if (absl::Status status = Save(); !status.ok()) return status;
    }
  }
  return Finish(/*stopped=*/false);
}

std::vector<const Example*> Run::NextExamples() {
  std::vector<const Example*> examples;
  for (int i = 0; i < settings_.batch_size; ++i) {
    const Sampler::Pick pick = sampler_->Next();
    examples.push_back(&corpus_.sets[pick.set][pick.index]);
  }
  return examples;
}

absl::Status Run::TrainStep() {
  const Clock::time_point began = Clock::now();
  const std::vector<const Example*> examples = NextExamples();
  std::int64_t target_tokens = 0;
  std::int64_t source_tokens = 0;
  for (const Example* example : examples) {
    target_tokens += static_cast<std::int64_t>(example->target.size());
    source_tokens += static_cast<std::int64_t>(example->source.size());
  }
  // This task's part, in micro-batches.
  const std::size_t begin = examples.size() * rank_ / tasks_;
  const std::size_t end = examples.size() * (rank_ + 1) / tasks_;
  const std::size_t micro = settings_.micro_batch_size > 0 ? settings_.micro_batch_size : examples.size();
  const double dropout = origin_.config.dropout_rate;
  int part = 0;
  for (std::size_t first = begin; first < end; first += micro, ++part) {
    const std::vector<const Example*> chosen(
        examples.begin() + static_cast<std::ptrdiff_t>(first),
        examples.begin() + static_cast<std::ptrdiff_t>(std::min(end, first + micro)));
    const Batch batch = MakeBatch(chosen, origin_.config.decoder_start_token_id);
    TeacherOutputs taught;
    if (teacher_ != nullptr) {
      absl::StatusOr<TeacherOutputs> outputs =
          teacher_->Get(batch, settings_.loss.temperature, settings_.loss.hidden_state_weight > 0);
      if (!outputs.ok()) return outputs.status();
      taught = *std::move(outputs);
    }
    for (std::size_t i = 0; i < arms_.size(); ++i) {
      if (state_.arms[i].dropped) continue;
      DropoutKeys random(MixBits(MixBits(MixBits(settings_.seed, static_cast<std::uint64_t>(state_.step)), i),
                                 static_cast<std::uint64_t>(part) * tasks_ + rank_));
      AddGradients({.module = arms_[i].module.get(),
                    .batch = batch,
                    .taught = taught,
                    .alpha = arms_[i].settings.alpha,
                    .loss = settings_.loss,
                    .distribution_size = tokenizer_->size(),
                    .total_target_tokens = target_tokens,
                    .total_source_tokens = source_tokens,
                    .precision = settings_.precision,
                    .dropout = dropout,
                    .random = &random},
                   &arms_[i].step);
      // Now, while the gradients are at hand: no two arms' need be there together, but with micro-batches.
      if (first + micro < end) continue;
      if (absl::Status status = UpdateArm(i); !status.ok()) return status;
    }
  }
  for (std::size_t i = 0; i < arms_.size(); ++i) {
    if (state_.arms[i].dropped) continue;
    if (begin == end) {  // fewer examples than tasks
      if (absl::Status status = UpdateArm(i); !status.ok()) return status;
    }
    learned_tokens_ += target_tokens + source_tokens;
    state_.tokens += target_tokens + source_tokens;
  }
  ++state_.step;
  ++steps_since_;
  target_tokens_ += target_tokens;
  source_tokens_ += source_tokens;
  const double took = Seconds(Clock::now() - began);
  step_seconds_ += took;
  state_.seconds += took;
  return absl::OkStatus();
}

absl::Status Run::UpdateArm(std::size_t index) {
  Arm& arm = arms_[index];
  if (absl::Status status = SumGradients(&arm); !status.ok()) return status;
  arm.sums.Add(arm.step);
  arm.step = {};
  arm.learning_rate = arm.settings.learning_rate * ScheduleFactor(settings_.optimizer, state_.step, total_steps_);
  arm.gradient_norm = arm.optimizer->Step(arm.learning_rate);
  if (!std::isfinite(arm.gradient_norm)) {
    return absl::InvalidArgumentError(absl::StrCat("arm ", arm.settings.name, ": the gradient is not finite at step ",
                                                   state_.step + 1, "; a lower learning_rate would be right"));
  }
  state_.arms[index].optimizer_steps = arm.optimizer->steps();
  return absl::OkStatus();
}

absl::Status Run::SumGradients(Arm* arm) {
  if (tasks_ == 1) return absl::OkStatus();
  const at::NoGradGuard no_gradient;
  std::vector<at::Tensor> flat;
  for (const Parameter& parameter : arm->module->parameters()) {
    at::Tensor& gradient = parameter.value.mutable_grad();
    if (!gradient.defined()) gradient = at::zeros_like(parameter.value);
    flat.push_back(gradient.flatten());
  }
  StepSums& sums = arm->step;
  flat.push_back(
      at::tensor({sums.cross_entropy, sums.smoothed_cross_entropy, sums.kl, sums.hidden}, at::kFloat).to(device_));
  at::Tensor all = at::cat(flat);
  if (absl::Status status = group_->Sum(&all); !status.ok()) return status;
  std::int64_t at = 0;
  for (const Parameter& parameter : arm->module->parameters()) {
    parameter.value.mutable_grad() = all.narrow(0, at, parameter.value.numel()).view(parameter.value.sizes());
    at += parameter.value.numel();
  }
  const at::Tensor losses = all.narrow(0, at, 4).to(at::kCPU);
  const float* values = losses.const_data_ptr<float>();
  sums = {.cross_entropy = values[0], .smoothed_cross_entropy = values[1], .kl = values[2], .hidden = values[3]};
  return absl::OkStatus();
}

absl::StatusOr<bool> Run::AnyTaskStops() {
  if (tasks_ == 1) return stop_();
  at::Tensor flag = at::full({1}, stop_() ? 1.0F : 0.0F);
  if (absl::Status status = group_->Sum(&flag); !status.ok()) return status;
  return flag.item<float>() > 0;
}

void Run::ReportIfTimely(bool last) {
  if (!leads()) return;
  if (last || reported_step_ == 0 || Seconds(Clock::now() - progress_began_) >= kProgressSeconds) Report();
}

void Run::Report() {
  if (steps_since_ == 0) return;
  Progress progress;
  progress.step = state_.step;
  progress.total_steps = total_steps_;
  progress.epoch = static_cast<double>(state_.step * settings_.batch_size) / static_cast<double>(epoch_picks_);
  const double targets = static_cast<double>(target_tokens_);
  const double t = settings_.loss.temperature;
  for (std::size_t i = 0; i < arms_.size(); ++i) {
    if (state_.arms[i].dropped) continue;
    Arm& arm = arms_[i];
    ArmProgress part{.arm = arm.settings.name,
                     .cross_entropy = arm.sums.cross_entropy / targets,
                     .kl = arm.sums.kl / targets,
                     .hidden_state_loss = arm.sums.hidden / static_cast<double>(source_tokens_),
                     .loss = 0,
                     .learning_rate = arm.learning_rate,
                     .gradient_norm = arm.gradient_norm};
    const double alpha = arm.settings.alpha;
    part.loss = alpha * t * t * part.kl + (1 - alpha) * arm.sums.smoothed_cross_entropy / targets +
                settings_.loss.hidden_state_weight * part.hidden_state_loss;
    progress.arms.push_back(part);
    arm.sums = {};
  }
  progress.tokens_per_second = static_cast<double>(learned_tokens_) / step_seconds_;
  progress.eta_seconds = static_cast<double>(total_steps_ - state_.step) * step_seconds_ / steps_since_;
  progress.tokens = state_.tokens;
  progress.teacher_forwards = teacher_ == nullptr ? 0 : teacher_->forwards();
  observer_->OnProgress(progress);
  target_tokens_ = source_tokens_ = learned_tokens_ = steps_since_ = 0;
  step_seconds_ = 0;
  reported_step_ = state_.step;
  progress_began_ = Clock::now();
}

absl::Status Run::Save() {
  saved_ = Clock::now();
  if (teacher_ != nullptr) {
    if (absl::Status status = teacher_->Flush(); !status.ok()) return status;
  }
  if (!leads()) return absl::OkStatus();
  return WriteState(settings_.state_directory, state_, Tensors());
}

}  // namespace petit::distill
