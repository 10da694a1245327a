#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "models/distill/fingerprint.h"
#include "models/distill/labels.h"
#include "models/distill/run.h"
#include "models/distill/tensor_heap.h"
#include "models/torch/device.h"

namespace petit::distill {

absl::Status Run::SetUp() {
  const absl::StatusOr<c10::Device> device = torch_executor::ResolveDevice(settings_.device);
  if (!device.ok()) return device.status();
  device_ = *device;
  UseTensorHeap();
  if (absl::Status status = OpenCheckpoints(); !status.ok()) return status;
  if (absl::Status status = ReadData(); !status.ok()) return status;
  return MakeArms();
}

absl::Status Run::OpenCheckpoints() {
  const auto open = [](const std::string& path, std::optional<checkpoint::Checkpoint>* out) {
    absl::StatusOr<checkpoint::Checkpoint> opened = checkpoint::Checkpoint::Open(path);
    if (!opened.ok()) return opened.status();
    *out = *std::move(opened);
    return absl::OkStatus();
  };
  if (!settings_.teacher_checkpoint.empty()) {
    if (absl::Status status = open(settings_.teacher_checkpoint, &teacher_checkpoint_); !status.ok()) return status;
  }
  if (settings_.student.kind == StudentKind::kCheckpoint) {
    if (absl::Status status = open(settings_.student.checkpoint, &initial_checkpoint_); !status.ok()) return status;
  }
  const checkpoint::Checkpoint* teacher = teacher_checkpoint_ ? &*teacher_checkpoint_ : nullptr;
  const checkpoint::Checkpoint* initial = initial_checkpoint_ ? &*initial_checkpoint_ : nullptr;
  if (teacher == nullptr && initial == nullptr) {
    return absl::InvalidArgumentError("a student without a teacher must start from a checkpoint");
  }
  origin_ = MakeOrigin(settings_, teacher, initial);
  std::string error;
  tokenizer_ = tokenizer::Tokenizer::Load(origin_.tokenizer_directory, &error);
  if (tokenizer_ == nullptr) return absl::InvalidArgumentError(error);
  if (teacher == nullptr) return absl::OkStatus();
  if (teacher->config().vocab_size != origin_.config.vocab_size) {
    return absl::InvalidArgumentError(absl::StrCat("the teacher's vocab_size is ", teacher->config().vocab_size,
                                                   " and the student's ", origin_.config.vocab_size,
                                                   "; they must be equal"));
  }
  if (settings_.loss.hidden_state_weight > 0 && teacher->config().d_model != origin_.config.d_model) {
    return absl::InvalidArgumentError(absl::StrCat("hidden_state_weight needs equal widths; the teacher's d_model is ",
                                                   teacher->config().d_model, " and the student's ",
                                                   origin_.config.d_model));
  }
  teacher_ = std::make_unique<TeacherSource>(
      [this] { return Teacher::Load(*teacher_checkpoint_, device_, settings_.precision, tokenizer_->size()); },
      settings_.teacher_cache_top_k, settings_.cache_directory,
      absl::StrCat(teacher->digest().substr(0, 32), "-",
                   settings_.precision == TrainingPrecision::kBf16 ? "bf16" : "fp32", "-",
                   std::string(device_.is_cpu() ? "cpu" : "gpu")));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::vector<TokenId>>> Run::Label(const TextSet& set,
                                                             const std::vector<std::vector<TokenId>>& sources) {
  if (!teacher_checkpoint_) return absl::InvalidArgumentError("teacher labels need a teacher");
  std::uint64_t key = 0;
  for (const std::vector<TokenId>& source : sources) {
    for (const TokenId id : source) key = MixBits(key, static_cast<std::uint64_t>(id));
  }
  const int beams = set.labels == Labels::kTeacherBeam ? 4 : 1;
  const std::string path =
      absl::StrFormat("%s/labels-%s-%016x-b%d-m%d.txt", settings_.cache_directory,
                      teacher_checkpoint_->digest().substr(0, 32), key, beams, settings_.max_target_tokens);
  // One task makes them, the others read them.
  if (!leads()) {
    if (absl::Status status = Meet(); !status.ok()) return status;
  }
  auto labels = TeacherLabels(
      sources, path,
      [&] {
        return Generator::Load(*teacher_checkpoint_, {.device = settings_.device,
                                                      .precision = settings_.precision,
                                                      .beams = beams,
                                                      .max_new_tokens = settings_.max_target_tokens - 1,
                                                      .distribution_size = tokenizer_->size()});
      },
      stop_, [this](const std::string& text) { observer_->OnLog(text); });
  if (leads()) {
    if (absl::Status status = Meet(); !status.ok()) return status;
  }
  return labels;
}

absl::Status Run::Meet() {
  if (tasks_ == 1) return absl::OkStatus();
  at::Tensor one = at::ones({1});
  return group_->Sum(&one);
}

absl::Status Run::ReadData() {
  absl::StatusOr<TrainCorpus> corpus = ReadTrainCorpus(
      settings_, *tokenizer_, tokenizer_->eos_id(),
      [this](const TextSet& set, const std::vector<std::vector<TokenId>>& sources) { return Label(set, sources); });
  if (!corpus.ok()) return corpus.status();
  corpus_ = *std::move(corpus);
  absl::StatusOr<std::vector<DevCorpus>> dev = ReadDevCorpora(settings_, *tokenizer_);
  if (!dev.ok()) return dev.status();
  dev_ = *std::move(dev);
  std::vector<Sampler::Set> sets;
  std::int64_t pairs = 0;
  for (std::size_t i = 0; i < corpus_.sets.size(); ++i) {
    sets.push_back({.size = corpus_.sets[i].size(), .share = corpus_.shares[i]});
    pairs += static_cast<std::int64_t>(corpus_.sets[i].size());
  }
  epoch_picks_ = EpochPicks(sets, corpus_.replay);
  sampler_ = std::make_unique<Sampler>(sets, settings_.seed);
  const double picks = settings_.epochs * static_cast<double>(epoch_picks_);
  total_steps_ = settings_.steps > 0 ? settings_.steps
                                     : std::max<std::int64_t>(1, std::llround(std::ceil(picks / settings_.batch_size)));
  eval_steps_ = settings_.eval_steps > 0 ? settings_.eval_steps : std::max<std::int64_t>(1, (total_steps_ + 9) / 10);
  if (leads()) {
    observer_->OnLog(absl::StrCat(pairs, " training pairs in ", sets.size(), " sets, ", total_steps_, " steps of ",
                                  settings_.batch_size, " examples"));
  }
  return absl::OkStatus();
}

absl::Status Run::MakeArms() {
  const checkpoint::Checkpoint* teacher = teacher_checkpoint_ ? &*teacher_checkpoint_ : nullptr;
  const checkpoint::Checkpoint* initial = initial_checkpoint_ ? &*initial_checkpoint_ : nullptr;
  for (const ArmSettings& arm_settings : settings_.arms) {
    Arm arm;
    arm.settings = arm_settings;
    arm.module = std::make_unique<T5Module>(origin_.config, device_);
    if (arms_.empty()) {
      InitialiseStudent(settings_, teacher, initial, arm.module.get());
    } else {
      const at::NoGradGuard no_gradient;
      for (std::size_t i = 0; i < arm.module->parameters().size(); ++i) {
        arm.module->parameters()[i].value.copy_(arms_[0].module->parameters()[i].value);
      }
    }
    arm.optimizer = std::make_unique<Optimizer>(settings_.optimizer, arm.module.get());
    arms_.push_back(std::move(arm));
    state_.arms.emplace_back().name = arm_settings.name;
  }
  state_.fingerprint = Fingerprint(settings_, teacher == nullptr ? "" : teacher->digest(),
                                   initial == nullptr ? "" : initial->digest(), corpus_.digest);
  return absl::OkStatus();
}

std::vector<ArmTensors> Run::Tensors() const {
  std::vector<ArmTensors> tensors;
  for (const Arm& arm : arms_) tensors.push_back({arm.module.get(), arm.optimizer.get()});
  return tensors;
}

absl::Status Run::Resume() {
  std::vector<std::string> directories = settings_.earlier_state_directories;
  directories.push_back(settings_.state_directory);
  const absl::StatusOr<std::optional<FoundState>> found = FindState(directories);
  if (!found.ok()) return found.status();
  if (!found->has_value()) return absl::OkStatus();
  if ((*found)->state.fingerprint != state_.fingerprint) {
    return absl::FailedPreconditionError(
        absl::StrCat((*found)->path, ": training began with other settings, data or checkpoints than these"));
  }
  if (absl::Status status = ReadState(**found, Tensors()); !status.ok()) return status;
  state_ = (*found)->state;
  ForgetDroppedArms();
  sampler_->Skip(state_.step * settings_.batch_size);
  reported_step_ = state_.step;
  return absl::OkStatus();
}

// Gives back the memory of arms that have been dropped.
void Run::ForgetDroppedArms() {
  for (std::size_t i = 0; i < arms_.size(); ++i) {
    if (!state_.arms[i].dropped) continue;
    arms_[i].module.reset();
    arms_[i].optimizer.reset();
  }
}

}  // namespace petit::distill
