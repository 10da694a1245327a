#include "server/jobs/spec_fields.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/config/device.h"
#include "server/jobs/spec_arms.h"
#include "server/jobs/spec_check.h"

namespace petit::serving {
namespace {

constexpr int kMaxSets = 64;
constexpr std::int64_t kMaxSteps = 1'000'000'000;
constexpr std::int64_t kMaxLines = std::int64_t{1} << 40;
constexpr int kMaxTokens = 8192;
constexpr int kMaxBatch = 1 << 16;
constexpr int kMaxTasks = 1024;
constexpr std::int64_t kLeastMemory = std::int64_t{64} << 20;
constexpr std::int64_t kDevPairs = 500;

void CompleteOptimizer(v1::OptimizerOptions* optimizer, SpecCheck* check) {
  using Options = v1::OptimizerOptions;
  if (optimizer->kind() == Options::KIND_UNSPECIFIED) optimizer->set_kind(Options::ADAMW);
  if (!Options::Kind_IsValid(optimizer->kind())) {
    check->Add("optimizer.kind", absl::StrCat("is ", static_cast<int>(optimizer->kind()),
                                              ", which is unknown; use ADAMW or ADAMW_RMS_SCALED"));
  }
  if (optimizer->schedule() == Options::SCHEDULE_UNSPECIFIED) optimizer->set_schedule(Options::LINEAR);
  if (!Options::Schedule_IsValid(optimizer->schedule())) {
    check->Add("optimizer.schedule", absl::StrCat("is ", static_cast<int>(optimizer->schedule()),
                                                  ", which is unknown; use CONSTANT, LINEAR or COSINE"));
  }
  if (optimizer->learning_rate() == 0) {
    optimizer->set_learning_rate(optimizer->kind() == Options::ADAMW_RMS_SCALED ? 1e-2 : 1e-5);
  }
  if (!optimizer->has_weight_decay()) optimizer->set_weight_decay(0.01);
  if (!optimizer->has_beta1()) optimizer->set_beta1(0.9);
  if (!optimizer->has_beta2()) optimizer->set_beta2(0.999);
  if (!optimizer->has_epsilon()) optimizer->set_epsilon(1e-8);
  if (!optimizer->has_max_gradient_norm()) optimizer->set_max_gradient_norm(1);
  check->InRange("optimizer.learning_rate", optimizer->learning_rate(), kLearningRates);
  check->InRange("optimizer.warmup_steps", optimizer->warmup_steps(), 0, kMaxSteps);
  check->InRange("optimizer.weight_decay", optimizer->weight_decay(), {.low = 0, .high = 1});
  check->InRange("optimizer.beta1", optimizer->beta1(), {.low = 0, .high = 1, .below_high = true});
  check->InRange("optimizer.beta2", optimizer->beta2(), {.low = 0, .high = 1, .below_high = true});
  check->InRange("optimizer.epsilon", optimizer->epsilon(), {.low = 0, .high = 1, .above_low = true});
  check->InRange("optimizer.max_gradient_norm", optimizer->max_gradient_norm(), {.low = 0, .high = 1e9});
}

void CompleteLoss(bool has_teacher, v1::LossOptions* loss, SpecCheck* check) {
  using Options = v1::LossOptions;
  if (loss->temperature() == 0) loss->set_temperature(2);
  if (loss->divergence() == Options::DIVERGENCE_UNSPECIFIED) loss->set_divergence(Options::FORWARD_KL);
  if (!Options::Divergence_IsValid(loss->divergence())) {
    check->Add("loss.divergence", absl::StrCat("is ", static_cast<int>(loss->divergence()),
                                               ", which is unknown; use FORWARD_KL or REVERSE_KL"));
  }
  check->InRange("loss.temperature", loss->temperature(), {.low = 0, .high = 100, .above_low = true});
  check->InRange("loss.hidden_state_weight", loss->hidden_state_weight(), {.low = 0, .high = 1e6});
  check->InRange("loss.label_smoothing", loss->label_smoothing(), {.low = 0, .high = 1, .below_high = true});
  if (!has_teacher && loss->hidden_state_weight() > 0) {
    check->Add("loss.hidden_state_weight", "compares with a teacher, and there is none; set teacher, or leave it out");
  }
}

void CompleteResources(const JobsSettings& settings, v1::Resources* resources, SpecCheck* check) {
  if (resources->device().empty()) resources->set_device(settings.device);
  if (!IsDevice(resources->device())) {
    check->Add("resources.device", absl::StrCat("\"", resources->device(),
                                                "\" is unknown; use \"cpu\", \"cuda\" or \"cuda:0\", \"cuda:1\" ..."));
  }
  if (resources->device() == "cuda") resources->set_device("cuda:0");  // one name for one device
  if (resources->threads() == 0) resources->set_threads(settings.threads);
  check->InRange("resources.threads", resources->threads(), 1, settings.max_threads);
  if (resources->memory_bytes() == 0) resources->set_memory_bytes(settings.max_memory_bytes);
  if (resources->memory_bytes() != 0) {
    const std::int64_t machine =
        static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::int64_t>(sysconf(_SC_PAGESIZE));
    check->InRange("resources.memory_bytes", resources->memory_bytes(), kLeastMemory,
                   settings.max_memory_bytes != 0 ? settings.max_memory_bytes : machine);
  }
  if (resources->tasks() == 0) resources->set_tasks(1);
  check->InRange("resources.tasks", resources->tasks(), 1, kMaxTasks);
  if (resources->tasks() > 1 && settings.launcher != LauncherKind::kSlurm) {
    check->Add("resources.tasks", absl::StrCat("is ", resources->tasks(),
                                               ", but this server starts its workers itself, one a job; use 1, or a "
                                               "server with launcher: SLURM"));
  }
}

void CompleteTraining(int tasks, v1::TrainingOptions* training, SpecCheck* check) {
  using Options = v1::TrainingOptions;
  if (training->epochs() != 0 && training->steps() != 0) {
    check->Add("training.steps", "and epochs are both given; a run is as long as one of them says");
  }
  if (training->steps() == 0) {
    if (training->epochs() == 0) training->set_epochs(3);
    check->InRange("training.epochs", training->epochs(), {.low = 0, .high = 10'000, .above_low = true});
  } else {
    check->InRange("training.steps", training->steps(), 1, kMaxSteps);
  }
  if (training->batch_size() == 0) training->set_batch_size(std::max(32, tasks));
  check->InRange("training.batch_size", training->batch_size(), 1, kMaxBatch);
  if (tasks > 0 && training->batch_size() % tasks != 0) {
    check->Add("training.batch_size", absl::StrCat("is ", training->batch_size(), ", which ", tasks,
                                                   " tasks cannot share evenly; it must be a multiple of "
                                                   "resources.tasks"));
  }
  const int share = std::max(1, training->batch_size() / std::max(1, tasks));
  if (training->micro_batch_size() == 0) training->set_micro_batch_size(share);
  check->InRange("training.micro_batch_size", training->micro_batch_size(), 1, share);
  if (training->max_source_tokens() == 0) training->set_max_source_tokens(128);
  if (training->max_target_tokens() == 0) training->set_max_target_tokens(128);
  check->InRange("training.max_source_tokens", training->max_source_tokens(), 2, kMaxTokens);
  check->InRange("training.max_target_tokens", training->max_target_tokens(), 2, kMaxTokens);
  if (training->has_dropout()) {
    check->InRange("training.dropout", training->dropout(), {.low = 0, .high = 1, .below_high = true});
  }
  if (training->precision() == Options::PRECISION_UNSPECIFIED) training->set_precision(Options::FP32);
  if (!Options::Precision_IsValid(training->precision())) {
    check->Add("training.precision",
               absl::StrCat("is ", static_cast<int>(training->precision()), ", which is unknown; use FP32 or BF16"));
  }
  check->InRange("training.eval_steps", training->eval_steps(), 0, kMaxSteps);
  if (training->checkpoint_seconds() == 0) training->set_checkpoint_seconds(60);
  check->InRange("training.checkpoint_seconds", training->checkpoint_seconds(),
                 {.low = 0, .high = 86'400, .above_low = true});
}

void CheckSet(const std::string& field, const std::string& path, const std::string& source, const std::string& target,
              std::int64_t skip, std::int64_t take, SpecCheck* check) {
  if (path.empty()) check->Add(field + ".path", "is missing; name a file below the server's data root");
  if (source.empty()) check->Add(field + ".source_language", "is missing; name a language, as \"en\"");
  if (target.empty()) check->Add(field + ".target_language", "is missing; name a language, as \"fr\"");
  check->InRange(field + ".skip", skip, 0, kMaxLines);
  check->InRange(field + ".take", take, 0, kMaxLines);
}

void CompleteTrain(bool has_teacher, v1::JobSpec* spec, SpecCheck* check) {
  if (spec->train().empty()) check->Add("train", "is empty; give at least one set to learn from");
  if (spec->train_size() > kMaxSets) check->Add("train", absl::StrCat("has more than ", kMaxSets, " sets"));
  for (int i = 0; i < spec->train_size(); ++i) {
    v1::TrainingSet* set = spec->mutable_train(i);
    const std::string field = absl::StrCat("train[", i, "]");
    CheckSet(field, set->path(), set->source_language(), set->target_language(), set->skip(), set->take(), check);
    if (set->share() != 0) check->InRange(field + ".share", set->share(), {.low = 0, .high = 1e12, .above_low = true});
    if (set->labels() == v1::TrainingSet::LABELS_UNSPECIFIED) set->set_labels(v1::TrainingSet::REFERENCE);
    if (!v1::TrainingSet::Labels_IsValid(set->labels())) {
      check->Add(field + ".labels", absl::StrCat("is ", static_cast<int>(set->labels()),
                                                 ", which is unknown; use REFERENCE, TEACHER_GREEDY or TEACHER_BEAM"));
    } else if (!has_teacher && set->labels() != v1::TrainingSet::REFERENCE) {
      check->Add(field + ".labels", "are a teacher's translations, and there is none; set teacher, or use REFERENCE");
    }
  }
}

void CompleteDev(v1::JobSpec* spec, SpecCheck* check) {
  if (spec->dev().empty()) check->Add("dev", "is empty; give at least one set to choose the best checkpoint by");
  if (spec->dev_size() > kMaxSets) check->Add("dev", absl::StrCat("has more than ", kMaxSets, " sets"));
  std::set<std::string> names;
  for (int i = 0; i < spec->dev_size(); ++i) {
    v1::DevSet* set = spec->mutable_dev(i);
    const std::string field = absl::StrCat("dev[", i, "]");
    CheckName(field + ".name", set->name(), check);
    if (!names.insert(set->name()).second) {
      check->Add(field + ".name", absl::StrCat("\"", set->name(), "\" is another set's too; names must differ"));
    }
    CheckSet(field, set->path(), set->source_language(), set->target_language(), set->skip(), set->take(), check);
    if (set->take() == 0) set->set_take(kDevPairs);
  }
}

void CheckTeacherCache(bool has_teacher, const v1::JobSpec& spec, SpecCheck* check) {
  const int top_k = spec.teacher_cache().top_k();
  check->InRange("teacher_cache.top_k", top_k, 0, 1 << 16);
  if (top_k == 0) return;
  if (!has_teacher)
    check->Add("teacher_cache.top_k", "is of a teacher, and there is none; set teacher, or leave it out");
  if (spec.loss().hidden_state_weight() > 0) {
    check->Add("teacher_cache.top_k", "holds no hidden states, but loss.hidden_state_weight wants them; leave out one");
  }
}

}  // namespace

absl::Status CompleteFields(const JobsSettings& settings, v1::JobSpec* spec) {
  SpecCheck check;
  const bool has_teacher = !spec->teacher().empty();
  CompleteOptimizer(spec->mutable_optimizer(), &check);
  CompleteArms(spec, &check);
  CompleteTrain(has_teacher, spec, &check);
  CompleteDev(spec, &check);
  CompleteLoss(has_teacher, spec->mutable_loss(), &check);
  CompleteResources(settings, spec->mutable_resources(), &check);
  CompleteTraining(spec->resources().tasks(), spec->mutable_training(), &check);
  CheckTeacherCache(has_teacher, *spec, &check);
  return check.status();
}

absl::Status CompleteLengths(v1::JobSpec* spec) {
  SpecCheck check;
  double examples = 0;
  for (v1::TrainingSet& set : *spec->mutable_train()) {
    if (set.share() == 0) set.set_share(static_cast<double>(set.take()));
    examples += static_cast<double>(set.take());
  }
  v1::TrainingOptions* training = spec->mutable_training();
  const double steps = training->steps() != 0 ? static_cast<double>(training->steps())
                                              : std::ceil(training->epochs() * examples / training->batch_size());
  if (steps > static_cast<double>(kMaxSteps)) {
    check.Add("training.epochs",
              absl::StrCat("is ", training->epochs(), ", which is ", steps, " steps; a run has at most ", kMaxSteps));
    return check.status();
  }
  const auto total = static_cast<std::int64_t>(steps);
  if (training->eval_steps() == 0) training->set_eval_steps(std::max<std::int64_t>(1, total / 10));
  const std::int64_t warmup = spec->optimizer().warmup_steps();
  if (warmup >= total && warmup > 0) {
    check.Add("optimizer.warmup_steps",
              absl::StrCat("is ", warmup, ", but the whole run has ", total, " steps; it must be shorter"));
  }
  return check.status();
}

}  // namespace petit::serving
