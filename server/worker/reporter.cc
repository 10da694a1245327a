#include "server/worker/reporter.h"

#include <unistd.h>

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "spdlog/spdlog.h"

namespace petit::worker {

void Reporter::OnStarted(std::int64_t resumed_step) {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  v1::WorkerEvent event;
  event.mutable_started()->set_pid(getpid());
  event.mutable_started()->set_host(host.data());
  event.mutable_started()->set_resumed_step(resumed_step);
  log_->Append(std::move(event));
  spdlog::info("started at step {}", resumed_step);
}

EventFile* Reporter::CurvesOf(const std::string& arm) {
  std::unique_ptr<EventFile>& file = curves_[arm];
  if (file == nullptr) file = EventFile::Create(absl::StrCat(tensorboard_directory_, "/", arm));
  return file.get();
}

void Reporter::OnProgress(const distill::Progress& progress) {
  v1::WorkerEvent event;
  petit::v1::Progress& to = *event.mutable_progress();
  to.set_step(progress.step);
  to.set_total_steps(progress.total_steps);
  to.set_epoch(progress.epoch);
  to.set_tokens_per_second(progress.tokens_per_second);
  to.set_eta_seconds(progress.eta_seconds);
  to.set_tokens(progress.tokens);
  to.set_teacher_forwards(progress.teacher_forwards);
  for (const distill::ArmProgress& arm : progress.arms) {
    petit::v1::ArmProgress& part = *to.add_arms();
    part.set_arm(arm.arm);
    part.set_cross_entropy(arm.cross_entropy);
    part.set_kl(arm.kl);
    part.set_hidden_state_loss(arm.hidden_state_loss);
    part.set_loss(arm.loss);
    part.set_learning_rate(arm.learning_rate);
    part.set_gradient_norm(arm.gradient_norm);
    EventFile* curves = CurvesOf(arm.arm);
    curves->AddScalar("train/cross_entropy", progress.step, arm.cross_entropy);
    curves->AddScalar("train/kl", progress.step, arm.kl);
    curves->AddScalar("train/loss", progress.step, arm.loss);
    curves->AddScalar("train/learning_rate", progress.step, arm.learning_rate);
    curves->AddScalar("train/gradient_norm", progress.step, arm.gradient_norm);
    curves->AddScalar("train/tokens_per_second", progress.step, progress.tokens_per_second);
  }
  log_->Append(std::move(event));
}

void Reporter::OnDevScore(const distill::DevScore& score) {
  v1::WorkerEvent event;
  petit::v1::DevScore& to = *event.mutable_dev_score();
  to.set_arm(score.arm);
  to.set_set(score.set);
  to.set_step(score.step);
  to.set_out_of_domain(score.out_of_domain);
  to.set_cross_entropy(score.cross_entropy);
  if (score.kl) to.set_kl(*score.kl);
  to.set_bleu(score.bleu);
  to.set_chrf(score.chrf);
  to.set_pairs(score.pairs);
  log_->Append(std::move(event));
  EventFile* curves = CurvesOf(score.arm);
  const std::string prefix = absl::StrCat("dev/", score.set, "/");
  curves->AddScalar(prefix + "cross_entropy", score.step, score.cross_entropy);
  if (score.kl) curves->AddScalar(prefix + "kl", score.step, *score.kl);
  curves->AddScalar(prefix + "bleu", score.step, score.bleu);
  curves->AddScalar(prefix + "chrf", score.step, score.chrf);
  spdlog::info("step {}: arm {} on {}: BLEU {:.2f}, cross-entropy {:.4f}", score.step, score.arm, score.set, score.bleu,
               score.cross_entropy);
}

void Reporter::OnLog(const std::string& text) {
  v1::WorkerEvent event;
  event.mutable_log()->set_level(petit::v1::LogLine::INFO);
  event.mutable_log()->set_text(text);
  log_->Append(std::move(event));
  spdlog::info("{}", text);
}

void Reporter::OnArmDropped(const std::string& arm, std::int64_t step) {
  v1::WorkerEvent event;
  event.mutable_arm_dropped()->set_arm(arm);
  event.mutable_arm_dropped()->set_step(step);
  log_->Append(std::move(event));
}

void Reporter::OnStudent(const std::string& arm, const std::string& checkpoint, bool best) {
  v1::WorkerEvent event;
  event.mutable_student()->set_arm(arm);
  event.mutable_student()->set_checkpoint(checkpoint);
  event.mutable_student()->set_best(best);
  log_->Append(std::move(event));
}

}  // namespace petit::worker
