#include "client/eval/experiment_spec.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "client/eval/text_proto.h"

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

client::DecodingOptions ToDecoding(const petit::v1::DecodingOptions& from) {
  client::DecodingOptions to;
  if (from.has_max_new_tokens()) to.max_new_tokens = from.max_new_tokens();
  if (from.has_min_new_tokens()) to.min_new_tokens = from.min_new_tokens();
  if (from.has_num_beams()) to.num_beams = from.num_beams();
  if (from.has_length_penalty()) to.length_penalty = from.length_penalty();
  if (from.has_repetition_penalty()) to.repetition_penalty = from.repetition_penalty();
  if (from.has_no_repeat_ngram_size()) to.no_repeat_ngram_size = from.no_repeat_ngram_size();
  to.do_sample = from.do_sample();
  if (from.has_temperature()) to.temperature = from.temperature();
  if (from.has_top_k()) to.top_k = from.top_k();
  if (from.has_top_p()) to.top_p = from.top_p();
  if (from.has_seed()) to.seed = from.seed();
  using Early = client::DecodingOptions::EarlyStopping;
  constexpr Early kEarly[] = {Early::kDefault, Early::kFalse, Early::kTrue, Early::kNever};
  if (petit::v1::DecodingOptions::EarlyStopping_IsValid(from.early_stopping())) {
    to.early_stopping = kEarly[from.early_stopping()];
  }
  return to;
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
  evaluation.decoding = ToDecoding(spec.decoding());
  evaluation.measurement = ToMeasurement(spec.measurement(), checks);
  evaluation.teacher = Choose(evaluation, spec.teacher(), Role::kTeacher, "teacher", checks);
  evaluation.baseline = Choose(evaluation, spec.baseline(), Role::kStudent, "baseline", checks);
  if (!spec.sets().empty()) evaluation.main_set = spec.sets(0).name();
  if (absl::Status status = checks.status(); !status.ok()) return status;
  return plan;
}

}  // namespace petit::eval
