#include "client/eval/experiment_spec.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "client/eval/text_proto.h"
#include "client/lib/convert.h"

namespace petit::eval {
namespace {

namespace pb = petit::experiment::v1;

constexpr std::size_t kMaxNameBytes = 64;

// Collects errors under the names of their fields.
class Checks {
 public:
  explicit Checks(const std::string& path) : path_(path) {}

  void Add(const std::string& field, const std::string& what) {
    absl::StrAppend(&text_, text_.empty() ? "" : "\n", path_, ": ", field, ": ", what);
  }
  void Add(const std::string& field, const absl::Status& status) {
    if (!status.ok()) Add(field, std::string(status.message()));
  }
  void Name(const std::string& field, const std::string& name) {
    const bool plain = !name.empty() && name.size() <= kMaxNameBytes && name[0] != '.' &&
                       std::all_of(name.begin(), name.end(), [](unsigned char c) {
                         return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
                       });
    if (!plain) {
      Add(field, absl::StrCat("is '", name, "'; at most ", kMaxNameBytes,
                              " letters, digits, '-', '_' and '.' are wanted, and no '.' at the start"));
    }
  }
  template <typename Number>
  void AtLeast(const std::string& field, Number value, Number least) {
    if (value < least) Add(field, absl::StrCat("is ", value, "; it must be at least ", least));
  }

  [[nodiscard]] absl::Status status() const {
    return text_.empty() ? absl::OkStatus() : absl::InvalidArgumentError(text_);
  }

 private:
  const std::string& path_;
  std::string text_;
};

std::string Beside(const std::string& file, const std::string& path) {
  if (path.empty()) return path;
  return (std::filesystem::path(file).parent_path() / path).lexically_normal().string();
}

Role ToRole(pb::Model::Role role) {
  switch (role) {
    case pb::Model::TEACHER:
      return Role::kTeacher;
    case pb::Model::STUDENT:
      return Role::kStudent;
    case pb::Model::DISTILLED:
      return Role::kDistilled;
    case pb::Model::QUANTIZED:
      return Role::kQuantized;
    default:
      return Role::kOther;
  }
}

SetPlan ToSet(const pb::Set& set, const std::string& file, bool is_main) {
  return {.name = set.name(),
          .files = {.pairs = Beside(file, set.pairs()),
                    .source = Beside(file, set.source()),
                    .reference = Beside(file, set.reference()),
                    .swap_columns = set.swap_columns(),
                    .source_field = set.source_field(),
                    .reference_field = set.reference_field(),
                    .source_language = set.source_language(),
                    .target_language = set.target_language(),
                    .skip = set.skip(),
                    .take = set.take()},
          .source_language = set.source_language(),
          .target_language = set.target_language(),
          .prompt = set.has_prompt() ? std::optional<std::string>(set.prompt()) : std::nullopt,
          .out_of_domain = set.out_of_domain(),
          .speed = is_main,
          .note = set.note()};
}

void CheckSet(const pb::Set& set, const std::string& field, Checks& checks) {
  checks.Name(field + ".name", set.name());
  if (set.pairs().empty() == (set.source().empty() && set.reference().empty())) {
    checks.Add(field, "needs either pairs, or source and reference");
  } else if (set.source().empty() != set.reference().empty()) {
    checks.Add(field, "has one of source and reference; both are wanted");
  }
  if (!set.has_prompt() && (set.source_language().empty() || set.target_language().empty())) {
    checks.Add(field, "needs source_language and target_language, or a prompt");
  }
  checks.AtLeast<std::int64_t>(field + ".skip", set.skip(), 0);
  checks.AtLeast<std::int64_t>(field + ".take", set.take(), 0);
}

DistillationPlan ToDistillation(const pb::Distillation& from, const std::string& field, const std::string& file,
                                const std::string& server, Checks& checks) {
  checks.Name(field + ".name", from.name());
  DistillationPlan to{.name = from.name(),
                      .server = from.server().empty() ? server : from.server(),
                      .spec = from.spec(),
                      .publish = {}};
  if (from.spec_file().empty() == !from.has_spec()) {
    checks.Add(field, "needs either spec_file or spec");
  } else if (!from.has_spec()) {
    const std::string path = Beside(file, from.spec_file());
    const absl::StatusOr<std::string> text = ReadDocument(path);
    checks.Add(field + ".spec_file", text.status());
    if (text.ok()) checks.Add(field + ".spec_file", ParseDocument(*text, path, to.spec));
  }
  for (const pb::Publication& publication : from.publish()) {
    if (publication.arm().empty() || publication.model().empty()) {
      checks.Add(field + ".publish", "needs an arm and a model");
    }
    to.publish.emplace_back(publication.arm(), publication.model());
  }
  return to;
}

Measurement ToMeasurement(const pb::Measurement& from, Checks& checks) {
  checks.AtLeast("measurement.concurrency", from.concurrency(), 0);
  checks.AtLeast("measurement.repeats", from.repeats(), -1);
  checks.AtLeast("measurement.speed_concurrency", from.speed_concurrency(), 0);
  checks.AtLeast<std::int64_t>("measurement.speed_take", from.speed_take(), 0);
  checks.AtLeast("measurement.bootstrap_samples", from.bootstrap_samples(), 0);
  Measurement to;
  if (from.concurrency() > 0) to.concurrency = from.concurrency();
  to.repeats = from.repeats() == 0 ? 3 : std::max(from.repeats(), 0);
  to.speed_concurrency = from.speed_concurrency() > 0 ? from.speed_concurrency() : 1;
  to.speed_take = from.speed_take();
  to.divergence = !from.no_divergence();
  if (from.bootstrap_samples() > 0) to.bootstrap_samples = from.bootstrap_samples();
  if (from.seed() != 0) to.seed = from.seed();
  return to;
}

// `asked`, or the first model with the role.
std::string Choose(const Plan& plan, const std::string& asked, Role role, const char* field, Checks& checks) {
  for (const ModelPlan& model : plan.models) {
    if (asked.empty() ? model.role == role : model.name == asked) return model.name;
  }
  if (!asked.empty()) checks.Add(field, absl::StrCat("'", asked, "' is none of the models"));
  return "";
}

template <typename Items>
void CheckUnique(const Items& items, const char* field, Checks& checks) {
  std::set<std::string> seen;
  for (const auto& item : items) {
    if (!seen.insert(item.name()).second) checks.Add(field, absl::StrCat("'", item.name(), "' is there twice"));
  }
}

}  // namespace

absl::StatusOr<ExperimentPlan> ReadExperiment(const std::string& path, const std::string& default_server) {
  absl::StatusOr<std::string> text = ReadDocument(path);
  if (!text.ok()) return text.status();
  pb::Experiment spec;
  if (absl::Status status = ParseDocument(*text, path, spec); !status.ok()) return status;
  Checks checks(path);
  const std::string server = spec.server().empty() ? default_server : spec.server();
  ExperimentPlan plan{.text = *std::move(text), .distillations = {}, .evaluation = {}};
  Plan& evaluation = plan.evaluation;
  checks.Name("name", spec.name());
  evaluation.name = spec.name();
  evaluation.title = spec.title();
  evaluation.description = spec.description();
  evaluation.random_weights = spec.random_weights();
  for (int i = 0; i < spec.distillations_size(); ++i) {
    plan.distillations.push_back(
        ToDistillation(spec.distillations(i), absl::StrCat("distillations[", i, "]"), path, server, checks));
  }
  for (const pb::Model& model : spec.models()) {
    if (model.name().empty()) checks.Add("models", "a model has no name");
    evaluation.models.push_back({.name = model.name(),
                                 .label = model.label(),
                                 .role = ToRole(model.role()),
                                 .alpha = model.has_alpha() ? std::optional<double>(model.alpha()) : std::nullopt,
                                 .server = model.server().empty() ? server : model.server()});
  }
  for (int i = 0; i < spec.sets_size(); ++i) {
    CheckSet(spec.sets(i), absl::StrCat("sets[", i, "]"), checks);
    evaluation.sets.push_back(ToSet(spec.sets(i), path, i == 0));
  }
  if (spec.models().empty()) checks.Add("models", "there is none; at least one is wanted");
  if (spec.sets().empty()) checks.Add("sets", "there is none; at least one is wanted");
  CheckUnique(spec.models(), "models", checks);
  CheckUnique(spec.sets(), "sets", checks);
  CheckUnique(spec.distillations(), "distillations", checks);
  evaluation.decoding = client::FromProto(spec.decoding());
  evaluation.measurement = ToMeasurement(spec.measurement(), checks);
  evaluation.teacher = Choose(evaluation, spec.teacher(), Role::kTeacher, "teacher", checks);
  evaluation.baseline = Choose(evaluation, spec.baseline(), Role::kStudent, "baseline", checks);
  if (!spec.sets().empty()) evaluation.main_set = spec.sets(0).name();
  if (absl::Status status = checks.status(); !status.ok()) return status;
  return plan;
}

void ShortenForTrial(ExperimentPlan& plan) {
  constexpr int kPairs = 8;
  constexpr int kSteps = 2;
  constexpr int kTokens = 8;
  const auto shorten = [](std::int64_t take, std::int64_t most) { return take == 0 ? most : std::min(take, most); };
  // A directory that was begun with the one cannot go on with the other.
  plan.text.insert(0, "# A trial.\n");
  Plan& evaluation = plan.evaluation;
  evaluation.trial = true;
  for (SetPlan& set : evaluation.sets) set.files.take = shorten(set.files.take, kPairs);
  evaluation.decoding.max_new_tokens = std::min(evaluation.decoding.max_new_tokens.value_or(kTokens), kTokens);
  Measurement& how = evaluation.measurement;
  how.repeats = std::min(how.repeats, 1);
  how.speed_take = shorten(how.speed_take, kPairs / 2);
  for (DistillationPlan& distillation : plan.distillations) {
    petit::v1::JobSpec& spec = distillation.spec;
    spec.mutable_training()->clear_epochs();
    spec.mutable_training()->set_steps(kSteps);
    spec.mutable_training()->set_eval_steps(kSteps);
    spec.mutable_training()->set_batch_size(2);
    spec.mutable_training()->clear_micro_batch_size();
    spec.clear_halving();
    spec.mutable_optimizer()->set_warmup_steps(0);
    for (petit::v1::TrainingSet& set : *spec.mutable_train()) set.set_take(shorten(set.take(), kPairs));
    for (petit::v1::DevSet& set : *spec.mutable_dev()) set.set_take(shorten(set.take(), kPairs / 2));
  }
}

}  // namespace petit::eval
