#include "server/worker/task_settings.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"

namespace petit::worker {
namespace {

namespace fs = std::filesystem;
namespace api = petit::v1;

class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (text_.empty()) text_ = absl::StrCat(line + 1, ":", column + 1, ": ", message);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

distill::Labels LabelsOf(api::TrainingSet::Labels labels) {
  switch (labels) {
    case api::TrainingSet::TEACHER_GREEDY:
      return distill::Labels::kTeacherGreedy;
    case api::TrainingSet::TEACHER_BEAM:
      return distill::Labels::kTeacherBeam;
    default:
      return distill::Labels::kReference;
  }
}

distill::Schedule ScheduleOf(api::OptimizerOptions::Schedule schedule) {
  switch (schedule) {
    case api::OptimizerOptions::CONSTANT:
      return distill::Schedule::kConstant;
    case api::OptimizerOptions::COSINE:
      return distill::Schedule::kCosine;
    default:
      return distill::Schedule::kLinear;
  }
}

distill::StudentSettings StudentOf(const v1::WorkerTask& task) {
  distill::StudentSettings student;
  const api::StudentInit& init = task.spec().student();
  if (init.has_teacher_layers()) {
    student.kind = distill::StudentKind::kTeacherLayers;
    student.encoder_layers = init.teacher_layers().encoder_layers();
    student.decoder_layers = init.teacher_layers().decoder_layers();
  } else if (init.has_random()) {
    const api::StudentInit::Random& random = init.random();
    student = {.kind = distill::StudentKind::kRandom,
               .checkpoint = "",
               .encoder_layers = random.encoder_layers(),
               .decoder_layers = random.decoder_layers(),
               .d_model = random.d_model(),
               .d_kv = random.d_kv(),
               .d_ff = random.d_ff(),
               .num_heads = random.num_heads()};
  } else {
    student.checkpoint = task.student_checkpoint();
  }
  return student;
}

void SetOptimizer(const api::OptimizerOptions& from, distill::OptimizerSettings* to) {
  to->kind = from.kind() == api::OptimizerOptions::ADAMW_RMS_SCALED ? distill::OptimizerKind::kAdamWRmsScaled
                                                                    : distill::OptimizerKind::kAdamW;
  to->schedule = ScheduleOf(from.schedule());
  to->warmup_steps = from.warmup_steps();
  if (from.has_weight_decay()) to->weight_decay = from.weight_decay();
  if (from.has_beta1()) to->beta1 = from.beta1();
  if (from.has_beta2()) to->beta2 = from.beta2();
  if (from.has_epsilon()) to->epsilon = from.epsilon();
  if (from.has_max_gradient_norm()) to->max_gradient_norm = from.max_gradient_norm();
}

void SetTraining(const api::TrainingOptions& from, distill::Settings* to) {
  if (from.epochs() > 0) to->epochs = from.epochs();
  to->steps = from.steps();
  if (from.batch_size() > 0) to->batch_size = from.batch_size();
  to->micro_batch_size = from.micro_batch_size();
  if (from.max_source_tokens() > 0) to->max_source_tokens = from.max_source_tokens();
  if (from.max_target_tokens() > 0) to->max_target_tokens = from.max_target_tokens();
  if (from.has_dropout()) to->dropout = from.dropout();
  to->seed = from.seed();
  to->precision = from.precision() == api::TrainingOptions::BF16 ? distill::TrainingPrecision::kBf16
                                                                 : distill::TrainingPrecision::kFp32;
  to->eval_steps = from.eval_steps();
  if (from.checkpoint_seconds() > 0) to->checkpoint_seconds = from.checkpoint_seconds();
}

}  // namespace

absl::StatusOr<v1::WorkerTask> ReadTask(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  std::ostringstream text;
  text << file.rdbuf();
  FirstError errors;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  v1::WorkerTask task;
  if (!parser.ParseFromString(text.str(), &task)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ":", errors.text()));
  }
  return task;
}

std::string AttemptDirectory(const v1::WorkerTask& task, int attempt) {
  return fs::path(task.job_directory()) / "attempts" / absl::StrCat(attempt);
}

distill::Settings SettingsOfTask(const v1::WorkerTask& task, int attempt) {
  const api::JobSpec& spec = task.spec();
  distill::Settings settings;
  settings.teacher_checkpoint = task.teacher_checkpoint();
  settings.student = StudentOf(task);
  SetOptimizer(spec.optimizer(), &settings.optimizer);
  SetTraining(spec.training(), &settings);
  const bool scaled = settings.optimizer.kind == distill::OptimizerKind::kAdamWRmsScaled;
  const double default_rate =
      spec.optimizer().learning_rate() > 0 ? spec.optimizer().learning_rate() : (scaled ? 1e-2 : 1e-5);
  for (const api::Arm& arm : spec.arms()) {
    settings.arms.push_back({.name = arm.name(),
                             .alpha = arm.has_alpha() ? arm.alpha() : 0.5,
                             .learning_rate = arm.has_learning_rate() ? arm.learning_rate() : default_rate});
  }
  for (int i = 0; i < spec.train_size(); ++i) {
    const api::TrainingSet& set = spec.train(i);
    distill::TextSet& to = settings.train.emplace_back();
    to.path = task.train(i).path();
    to.prefix = task.train(i).prefix();
    to.swap_columns = set.swap_columns();
    to.skip = set.skip();
    to.take = set.take();
    to.share = set.share();
    to.labels = LabelsOf(set.labels());
    to.replay = set.replay();
  }
  for (int i = 0; i < spec.dev_size(); ++i) {
    const api::DevSet& set = spec.dev(i);
    distill::TextSet& to = settings.dev.emplace_back();
    to.name = set.name();
    to.path = task.dev(i).path();
    to.prefix = task.dev(i).prefix();
    to.swap_columns = set.swap_columns();
    to.skip = set.skip();
    to.take = set.take() > 0 ? set.take() : 500;
    to.out_of_domain = set.out_of_domain();
  }
  if (spec.loss().temperature() > 0) settings.loss.temperature = spec.loss().temperature();
  if (spec.loss().divergence() == api::LossOptions::REVERSE_KL) {
    settings.loss.divergence = distill::Divergence::kReverseKl;
  }
  settings.loss.hidden_state_weight = spec.loss().hidden_state_weight();
  settings.loss.label_smoothing = spec.loss().label_smoothing();
  settings.teacher_cache_top_k = spec.teacher_cache().top_k();
  settings.halving = spec.halving().enabled();
  if (!task.device().empty()) settings.device = task.device();
  for (int earlier = 1; earlier < attempt; ++earlier) {
    settings.earlier_state_directories.push_back(fs::path(AttemptDirectory(task, earlier)) / "state");
  }
  const fs::path directory = AttemptDirectory(task, attempt);
  settings.state_directory = directory / "state";
  settings.students_directory = directory / "students";
  settings.cache_directory = task.cache_directory();
  return settings;
}

}  // namespace petit::worker
