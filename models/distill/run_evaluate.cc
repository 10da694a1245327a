#include <ATen/ATen.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "models/checkpoint/file.h"
#include "models/distill/evaluate.h"
#include "models/distill/run.h"
#include "models/distill/tensor_heap.h"

namespace petit::distill {
namespace {

namespace fs = std::filesystem;

std::string ScoreTable(const std::vector<DevScore>& scores, const std::string& arm) {
  std::string table = "| dev set | step | BLEU | chrF2 | cross-entropy | KL(teacher) |\n|---|---|---|---|---|---|\n";
  for (const DevScore& score : scores) {
    if (score.arm != arm) continue;
    absl::StrAppendFormat(&table, "| %s%s | %d | %.2f | %.2f | %.4f | %s |\n", score.set,
                          score.out_of_domain ? " (out of domain)" : "", score.step, score.bleu, score.chrf,
                          score.cross_entropy, score.kl ? absl::StrFormat("%.4f", *score.kl) : "");
  }
  return table;
}

}  // namespace

// Arms are halved at evaluations that divide the run into equal parts, so that one is left for the last.
std::vector<std::int64_t> Run::HalvingSteps() const {
  std::vector<std::int64_t> steps;
  if (!settings_.halving) return steps;
  int rounds = 0;
  for (std::size_t left = arms_.size(); left > 1; left = (left + 1) / 2) ++rounds;
  for (int i = 1; i <= rounds; ++i) steps.push_back(std::max<std::int64_t>(1, total_steps_ * i / (rounds + 1)));
  return steps;
}

bool Run::EvaluationIsDue() const {
  if (state_.step == 0 || state_.evaluated_step == state_.step) return false;
  const std::vector<std::int64_t> halvings = HalvingSteps();
  return state_.step == total_steps_ || state_.step % eval_steps_ == 0 ||
         std::find(halvings.begin(), halvings.end(), state_.step) != halvings.end();
}

// While one task evaluates, the others wait: it must come back.
std::function<bool()> Run::EvaluationStop() const { return tasks_ == 1 ? stop_ : nullptr; }

std::string Run::CandidatePath(const std::string& arm) const {
  return fs::path(settings_.state_directory) / "candidates" / absl::StrCat(arm, "-", state_.step);
}

// All arms begin alike: one evaluation tells what each has to gain and to forget.
absl::Status Run::EvaluateBeginning() {
  if (state_.step > 0 || state_.evaluated_step == 0) return absl::OkStatus();
  absl::Status status;
  if (leads()) {
    const std::string path = CandidatePath(arms_[0].settings.name);
    status = WriteStudent(path, origin_, *arms_[0].module);
    if (status.ok()) {
      const absl::StatusOr<std::vector<DevScore>> scores = Evaluate(
          dev_, {{arms_[0].settings.name, arms_[0].module.get(), path}}, teacher_.get(),
          {.settings = settings_, .tokenizer = *tokenizer_, .step = 0, .scorer = scorer_, .stop = EvaluationStop()});
      status = scores.status();
      if (scores.ok()) {
        for (const Arm& arm : arms_) {
          for (DevScore score : *scores) {
            score.arm = arm.settings.name;
            observer_->OnDevScore(score);
          }
        }
      }
    }
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  if (!status.ok()) return status;
  state_.evaluated_step = 0;
  return Meet();
}

absl::Status Run::EvaluateArms() {
  if (leads()) {
    std::vector<Candidate> candidates;
    for (std::size_t i = 0; i < arms_.size(); ++i) {
      if (state_.arms[i].dropped) continue;
      const std::string path = CandidatePath(arms_[i].settings.name);
      if (absl::Status status = WriteStudent(path, origin_, *arms_[i].module); !status.ok()) return status;
      candidates.push_back({arms_[i].settings.name, arms_[i].module.get(), path});
    }
    absl::StatusOr<std::vector<DevScore>> scores = Evaluate(dev_, candidates, teacher_.get(),
                                                            {.settings = settings_,
                                                             .tokenizer = *tokenizer_,
                                                             .step = state_.step,
                                                             .scorer = scorer_,
                                                             .stop = EvaluationStop()});
    if (!scores.ok()) return scores.status();
    latest_ = *std::move(scores);
    for (const DevScore& score : latest_) {
      observer_->OnDevScore(score);
      if (score.set != dev_[0].set.name) continue;
      for (ArmState& arm : state_.arms) {
        // The later of two that are equal: it has learned more.
        if (arm.name != score.arm || score.bleu < arm.best_bleu) continue;
        arm.best_bleu = score.bleu;
        arm.best_step = state_.step;
        arm.best_checkpoint = CandidatePath(arm.name);
        WriteCard(arm.name, arm.best_checkpoint);
      }
    }
  }
  state_.evaluated_step = state_.step;
  const std::vector<std::int64_t> halvings = HalvingSteps();
  if (std::find(halvings.begin(), halvings.end(), state_.step) != halvings.end()) {
    if (absl::Status status = DropWorseHalf(); !status.ok()) return status;
  }
  if (absl::Status status = Save(); !status.ok()) return status;
  if (leads()) RemoveOldCandidates();
  if (absl::Status status = Meet(); !status.ok()) return status;
  TrimTensorHeap();  // translating took much at once
  progress_began_ = Clock::now();
  return absl::OkStatus();
}

void Run::WriteCard(const std::string& arm, const std::string& checkpoint) const {
  std::ofstream card(fs::path(checkpoint) / "README.md");
  card << absl::StrReplaceAll(settings_.model_card, {{"{ARM}", arm}, {"{TABLE}", ScoreTable(latest_, arm)}});
}

// Only what the state on disk names is needed from now on.
void Run::RemoveOldCandidates() const {
  std::set<std::string> kept;
  for (const ArmState& arm : state_.arms) kept.insert(arm.best_checkpoint);
  std::error_code error;
  for (const fs::directory_entry& entry :
       fs::directory_iterator(fs::path(settings_.state_directory) / "candidates", error)) {
    std::error_code ignored;
    if (!kept.contains(entry.path().string())) fs::remove_all(entry.path(), ignored);
  }
}

absl::Status Run::DropWorseHalf() {
  // One task knows the scores; all must drop the same arms.
  at::Tensor order = at::zeros({static_cast<std::int64_t>(arms_.size())});
  if (leads()) {
    for (const DevScore& score : latest_) {
      if (score.set != dev_[0].set.name) continue;
      for (std::size_t i = 0; i < arms_.size(); ++i) {
        if (arms_[i].settings.name == score.arm) order[static_cast<std::int64_t>(i)] = score.bleu;
      }
    }
  }
  if (tasks_ > 1) {
    if (absl::Status status = group_->Sum(&order); !status.ok()) return status;
  }
  std::vector<std::size_t> running;
  for (std::size_t i = 0; i < arms_.size(); ++i) {
    if (!state_.arms[i].dropped) running.push_back(i);
  }
  const float* bleu = order.const_data_ptr<float>();
  std::stable_sort(running.begin(), running.end(), [&](std::size_t a, std::size_t b) { return bleu[a] > bleu[b]; });
  for (std::size_t i = (running.size() + 1) / 2; i < running.size(); ++i) {
    state_.arms[running[i]].dropped = true;
    if (leads()) observer_->OnArmDropped(arms_[running[i]].settings.name, state_.step);
  }
  ForgetDroppedArms();
  return absl::OkStatus();
}

std::size_t Run::BestArm() const {
  std::size_t best = arms_.size();
  for (std::size_t i = 0; i < arms_.size(); ++i) {
    if (state_.arms[i].dropped) continue;
    if (best == arms_.size() || state_.arms[i].best_bleu > state_.arms[best].best_bleu) best = i;
  }
  return best;
}

absl::Status Run::ExportStudent(std::size_t arm) {
  const ArmState& state = state_.arms[arm];
  const fs::path final = fs::path(settings_.students_directory) / state.name;
  std::string from = state.best_checkpoint;
  if (from.empty()) {  // stopped before any evaluation
    from = CandidatePath(state.name);
    if (absl::Status status = WriteStudent(from, origin_, *arms_[arm].module); !status.ok()) return status;
    WriteCard(state.name, from);
  }
  const fs::path temporary = fs::path(settings_.students_directory) / absl::StrCat(".", state.name, ".writing");
  std::error_code error;
  fs::remove_all(temporary, error);
  fs::create_directories(temporary.parent_path(), error);
  fs::copy(from, temporary, fs::copy_options::recursive, error);
  if (error) return checkpoint::ErrnoStatus(error.value(), temporary, "copy the student to");
  fs::remove_all(final, error);
  fs::rename(temporary, final, error);
  if (error) return checkpoint::ErrnoStatus(error.value(), final, "rename");
  return checkpoint::SyncDirectory(settings_.students_directory);
}

absl::StatusOr<Outcome> Run::Finish(bool stopped) {
  Outcome outcome{.stopped = stopped, .step = state_.step, .best_arm = ""};
  if (!leads()) {
    if (absl::Status status = Meet(); !status.ok()) return status;
    return outcome;
  }
  const std::size_t best = BestArm();
  outcome.best_arm = arms_[best].settings.name;
  for (std::size_t i = 0; i < arms_.size(); ++i) {
    if (state_.arms[i].dropped) continue;
    if (absl::Status status = ExportStudent(i); !status.ok()) return status;
    observer_->OnStudent(arms_[i].settings.name, fs::path(settings_.students_directory) / arms_[i].settings.name,
                         i == best);
  }
  if (absl::Status status = Meet(); !status.ok()) return status;
  return outcome;
}

absl::StatusOr<Outcome> Run::Interrupted(const absl::Status& status) {
  if (!absl::IsCancelled(status)) return status;
  if (leads()) Report();
  if (absl::Status saved = Save(); !saved.ok()) return saved;
  return Finish(/*stopped=*/true);
}

}  // namespace petit::distill
