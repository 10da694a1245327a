// A training run: what Train of trainer.h does, in its parts. Internal to this folder.
#ifndef PETIT_MODELS_DISTILL_RUN_H_
#define PETIT_MODELS_DISTILL_RUN_H_

#include <ATen/core/Tensor.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/checkpoint/checkpoint.h"
#include "models/distill/arm.h"
#include "models/distill/corpus.h"
#include "models/distill/sampler.h"
#include "models/distill/settings.h"
#include "models/distill/state.h"
#include "models/distill/student_files.h"
#include "models/distill/teacher_source.h"
#include "models/distill/trainer.h"
#include "models/tokenizer/tokenizer.h"

namespace petit::distill {

struct Arm {
  ArmSettings settings;
  std::unique_ptr<T5Module> module;
  std::unique_ptr<Optimizer> optimizer;
  StepSums step;  // of the step in hand
  StepSums sums;  // since the last progress
  double learning_rate = 0;
  double gradient_norm = 0;
};

class Run {
 public:
  using Clock = std::chrono::steady_clock;

  Run(const Settings& settings, Scorer scorer, Observer* observer, std::function<bool()> stop, TaskGroup* group)
      : settings_(settings),
        scorer_(std::move(scorer)),
        observer_(observer),
        stop_(std::move(stop)),
        group_(group),
        rank_(group == nullptr ? 0 : group->rank()),
        tasks_(group == nullptr ? 1 : group->size()) {}

  absl::StatusOr<Outcome> Go();

 private:
  bool leads() const { return rank_ == 0; }

  absl::Status SetUp();
  absl::Status OpenCheckpoints();
  absl::Status ReadData();
  absl::Status MakeArms();
  absl::Status Resume();
  absl::StatusOr<std::vector<std::vector<TokenId>>> Label(const TextSet& set,
                                                          const std::vector<std::vector<TokenId>>& sources);

  absl::Status TrainStep();
  // The optimizer's step, once an arm has all its gradients.
  absl::Status UpdateArm(std::size_t index);
  // Over the tasks.
  absl::Status SumGradients(Arm* arm);
  std::vector<const Example*> NextExamples();
  void ReportIfTimely(bool last);
  void Report();
  absl::StatusOr<bool> AnyTaskStops();
  absl::Status Save();
  // Every task waits for the others here.
  absl::Status Meet();
  std::function<bool()> EvaluationStop() const;

  bool EvaluationIsDue() const;
  absl::Status EvaluateBeginning();
  absl::Status EvaluateArms();
  std::vector<std::int64_t> HalvingSteps() const;
  absl::Status DropWorseHalf();
  void WriteCard(const std::string& arm, const std::string& checkpoint) const;
  void RemoveOldCandidates() const;
  void ForgetDroppedArms();
  absl::StatusOr<Outcome> Interrupted(const absl::Status& status);
  absl::StatusOr<Outcome> Finish(bool stopped);
  absl::Status ExportStudent(std::size_t arm);
  std::vector<ArmTensors> Tensors() const;
  std::string CandidatePath(const std::string& arm) const;
  std::size_t BestArm() const;

  const Settings& settings_;
  const Scorer scorer_;
  Observer* const observer_;
  const std::function<bool()> stop_;
  TaskGroup* const group_;
  const int rank_;
  const int tasks_;

  at::Device device_ = at::Device(at::kCPU);
  std::optional<checkpoint::Checkpoint> teacher_checkpoint_;
  std::optional<checkpoint::Checkpoint> initial_checkpoint_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  StudentOrigin origin_;
  std::unique_ptr<TeacherSource> teacher_;
  TrainCorpus corpus_;
  std::vector<DevCorpus> dev_;
  std::unique_ptr<Sampler> sampler_;
  std::int64_t epoch_picks_ = 1;
  std::int64_t total_steps_ = 0;
  std::int64_t eval_steps_ = 0;
  std::vector<Arm> arms_;
  RunState state_;
  std::vector<DevScore> latest_;  // of the last evaluation

  Clock::time_point saved_;
  Clock::time_point progress_began_;
  double step_seconds_ = 0;  // since the last progress
  std::int64_t target_tokens_ = 0;
  std::int64_t source_tokens_ = 0;
  std::int64_t learned_tokens_ = 0;  // times arms
  std::int64_t reported_step_ = 0;
  std::int64_t steps_since_ = 0;
};

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_RUN_H_
