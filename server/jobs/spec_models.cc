#include "server/jobs/spec_models.h"

#include <cstdint>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "models/checkpoint/config_json.h"
#include "models/checkpoint/file.h"
#include "models/t5/config.h"
#include "server/file_digest.h"
#include "server/jobs/publish_target.h"
#include "server/jobs/spec_check.h"

namespace petit::serving {
namespace {

constexpr std::uint64_t kMaxConfigBytes = 1 << 20;

// A served model and what its config.json says.
struct Found {
  std::string name;
  ModelForJob model;
  t5::T5Config config;
};

absl::StatusOr<t5::T5Config> ReadConfig(const std::string& checkpoint) {
  const std::string path = absl::StrCat(checkpoint, "/config.json");
  const absl::StatusOr<std::string> text = checkpoint::ReadTextFile(path, kMaxConfigBytes);
  if (!text.ok()) return text.status();
  return checkpoint::ParseConfig(*text, path);
}

absl::StatusOr<Found> FindServed(const JobModels& models, const std::string& field, const std::string& name) {
  absl::StatusOr<ModelForJob> model = models.Find(name);
  if (!model.ok()) return FieldError(field, model.status());
  if (model->checkpoint.empty()) {
    return FieldError(field, absl::UnavailableError(absl::StrCat("model '", name,
                                                                 "' serves no version now; load one, or name "
                                                                 "another model")));
  }
  absl::StatusOr<t5::T5Config> config = ReadConfig(model->checkpoint);
  if (!config.ok()) return FieldError(field, config.status().message());
  return Found{.name = name, .model = *std::move(model), .config = *std::move(config)};
}

absl::Status CheckSameTokens(const Found& teacher, const Found& student) {
  if (teacher.model.checkpoint == student.model.checkpoint) return absl::OkStatus();
  if (teacher.config.vocab_size != student.config.vocab_size) {
    return FieldError("student.model",
                      absl::StrCat("'", student.name, "' has a vocabulary of ", student.config.vocab_size,
                                   " ids, but the teacher '", teacher.name, "' one of ", teacher.config.vocab_size,
                                   "; their distributions are compared id by id, so they must share one"));
  }
  const absl::StatusOr<std::string> ours = FileSha256(absl::StrCat(student.model.checkpoint, "/spiece.model"));
  if (!ours.ok()) return FieldError("student.model", ours.status().message());
  const absl::StatusOr<std::string> theirs = FileSha256(absl::StrCat(teacher.model.checkpoint, "/spiece.model"));
  if (!theirs.ok()) return FieldError("teacher", theirs.status().message());
  if (*ours == *theirs) return absl::OkStatus();
  return FieldError("student.model",
                    absl::StrCat("'", student.name, "' and the teacher '", teacher.name,
                                 "' have different tokenizers (spiece.model with SHA-256 ", ours->substr(0, 12),
                                 "... and ", theirs->substr(0, 12), "...); they must share one"));
}

// Fills in 0, which is all of the teacher's layers, and gives the student's configuration.
absl::StatusOr<t5::T5Config> CompleteTeacherLayers(const Found& teacher, v1::StudentInit::TeacherLayers* layers) {
  t5::T5Config config = teacher.config;
  if (layers->encoder_layers() == 0) layers->set_encoder_layers(config.num_layers);
  if (layers->decoder_layers() == 0) layers->set_decoder_layers(config.num_decoder_layers);
  SpecCheck check;
  check.InRange("student.teacher_layers.encoder_layers", layers->encoder_layers(), 1, config.num_layers);
  check.InRange("student.teacher_layers.decoder_layers", layers->decoder_layers(), 1, config.num_decoder_layers);
  config.num_layers = layers->encoder_layers();
  config.num_decoder_layers = layers->decoder_layers();
  if (!check.status().ok()) return check.status();
  return config;
}

absl::StatusOr<t5::T5Config> RandomConfig(const Found& teacher, const v1::StudentInit::Random& random) {
  t5::T5Config config = teacher.config;
  SpecCheck check;
  for (const auto& [name, value, size] :
       {std::tuple{"d_model", random.d_model(), &config.d_model}, std::tuple{"d_kv", random.d_kv(), &config.d_kv},
        std::tuple{"d_ff", random.d_ff(), &config.d_ff}, std::tuple{"num_heads", random.num_heads(), &config.num_heads},
        std::tuple{"encoder_layers", random.encoder_layers(), &config.num_layers},
        std::tuple{"decoder_layers", random.decoder_layers(), &config.num_decoder_layers}}) {
    if (value < 1) {
      check.Add(absl::StrCat("student.random.", name), absl::StrCat("is ", value, "; it must be given, at least 1"));
    }
    *size = value;
  }
  if (!check.status().ok()) return check.status();
  if (const std::optional<std::string> problem = t5::Validate(config)) return FieldError("student.random", *problem);
  return config;
}

absl::Status CheckPublishAs(const JobModels& models, const std::string& name) {
  if (name.empty()) return absl::OkStatus();
  const absl::Status status = FindPublishTarget(models, name).status();
  if (absl::IsFailedPrecondition(status)) return FieldError("publish_as", status.message());
  return status.ok() ? status : FieldError("publish_as", status);
}

// dropout_rate as config.json has it: 0.1, not the nearest float.
double Dropout(const t5::T5Config& config) {
  double dropout = 0;
  return absl::SimpleAtod(absl::StrCat(config.dropout_rate), &dropout) ? dropout : config.dropout_rate;
}

absl::StatusOr<t5::T5Config> StudentConfig(const Found* teacher, const Found* student, v1::StudentInit* init) {
  switch (init->init_case()) {
    case v1::StudentInit::kModel:
      return student->config;
    case v1::StudentInit::kTeacherLayers:
      return CompleteTeacherLayers(*teacher, init->mutable_teacher_layers());
    case v1::StudentInit::kRandom:
      return RandomConfig(*teacher, init->random());
    case v1::StudentInit::INIT_NOT_SET:
      break;
  }
  return FieldError("student",
                    "is missing; give student { model: \"NAME\" }, { teacher_layers { ... } } or "
                    "{ random { ... } }");
}

}  // namespace

absl::StatusOr<SpecModels> ResolveModels(const JobModels& models, v1::JobSpec* spec) {
  spec->set_teacher(PlainModelName(spec->teacher()));
  spec->set_publish_as(PlainModelName(spec->publish_as()));
  v1::StudentInit* init = spec->mutable_student();
  std::optional<Found> teacher;
  if (!spec->teacher().empty()) {
    absl::StatusOr<Found> found = FindServed(models, "teacher", spec->teacher());
    if (!found.ok()) return found.status();
    teacher = *std::move(found);
  } else if (init->has_teacher_layers() || init->has_random()) {
    return FieldError(init->has_random() ? "student.random" : "student.teacher_layers",
                      "is made after a teacher, and there is none; set teacher, or student.model");
  }
  std::optional<Found> student;
  if (init->has_model()) {
    init->set_model(PlainModelName(init->model()));
    absl::StatusOr<Found> found = FindServed(models, "student.model", init->model());
    if (!found.ok()) return found.status();
    student = *std::move(found);
  }
  const absl::StatusOr<t5::T5Config> config =
      StudentConfig(teacher ? &*teacher : nullptr, student ? &*student : nullptr, init);
  if (!config.ok()) return config.status();
  if (teacher && student) {
    if (absl::Status status = CheckSameTokens(*teacher, *student); !status.ok()) return status;
  }
  if (teacher && spec->loss().hidden_state_weight() > 0 && teacher->config.d_model != config->d_model) {
    return FieldError("loss.hidden_state_weight",
                      absl::StrCat("compares hidden states, but the teacher's have ", teacher->config.d_model,
                                   " numbers and the student's ", config->d_model,
                                   "; it needs a student of the teacher's width, or must be left out"));
  }
  if (spec->teacher_cache().top_k() >= config->vocab_size) {
    return FieldError("teacher_cache.top_k",
                      absl::StrCat("is ", spec->teacher_cache().top_k(), "; it must be below the vocabulary's size, ",
                                   config->vocab_size));
  }
  if (!spec->training().has_dropout()) spec->mutable_training()->set_dropout(Dropout(*config));
  if (absl::Status status = CheckPublishAs(models, spec->publish_as()); !status.ok()) return status;
  SpecModels resolved;
  const Found& prompting = teacher ? *teacher : *student;
  resolved.prompts = prompting.model.prompts;
  resolved.prompts_of = prompting.name;
  if (teacher) resolved.teacher_checkpoint = teacher->model.checkpoint;
  if (student) resolved.student_checkpoint = student->model.checkpoint;
  return resolved;
}

absl::StatusOr<std::string> FindPrefix(const SpecModels& models, const std::string& field, const std::string& source,
                                       const std::string& target) {
  bool knows_source = false;
  for (const Prompt& prompt : models.prompts) {
    if (prompt.source_language != source) continue;
    knows_source = true;
    if (prompt.target_language == target) return prompt.prefix;
  }
  const std::string pairs = absl::StrJoin(models.prompts, ", ", [](std::string* out, const Prompt& prompt) {
    absl::StrAppend(out, prompt.source_language, "-", prompt.target_language);
  });
  return FieldError(field + (knows_source ? ".target_language" : ".source_language"),
                    absl::StrCat("model '", models.prompts_of, "' has no prompt from \"", source, "\" to \"", target,
                                 "\"; it has: ", pairs));
}

}  // namespace petit::serving
