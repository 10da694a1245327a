#include "server/worker/model_card.h"

#include <filesystem>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "google/protobuf/text_format.h"
#include "petit_revision.h"
#include "server/file_digest.h"

namespace petit::worker {

namespace fs = std::filesystem;

absl::StatusOr<std::string> ModelCard(const v1::WorkerTask& task) {
  std::string card = absl::StrCat("# Student {ARM}\n\nTrained by ", task.build(), ", sources ", PETIT_REVISION, ", as ",
                                  task.job(), ".\n\n");
  if (task.teacher_name().empty()) {
    absl::StrAppend(&card, "Trained without a teacher.\n\n");
  } else {
    absl::StrAppend(&card, "Distilled from `", task.teacher_name(), "`.\n\n");
  }
  absl::StrAppend(&card, "## Scores on the dev sets\n\n{TABLE}\n## Data\n\n",
                  "| file | SHA-256 | prompt | use |\n|---|---|---|---|\n");
  const auto add = [&](const v1::ResolvedSet& set, const std::string& use) -> absl::Status {
    const absl::StatusOr<std::string> digest = serving::FileSha256(set.path());
    if (!digest.ok()) return digest.status();
    absl::StrAppendFormat(&card, "| %s | %s | `%s` | %s |\n", fs::path(set.path()).filename().string(), *digest,
                          set.prefix(), use);
    return absl::OkStatus();
  };
  for (int i = 0; i < task.train_size(); ++i) {
    const std::string use = task.spec().train(i).replay() ? "replay" : "training";
    if (absl::Status status = add(task.train(i), use); !status.ok()) return status;
  }
  for (int i = 0; i < task.dev_size(); ++i) {
    if (absl::Status status = add(task.dev(i), "dev: " + task.spec().dev(i).name()); !status.ok()) return status;
  }
  std::string spec;
  google::protobuf::TextFormat::PrintToString(task.spec(), &spec);
  absl::StrAppend(&card, "\n## Job\n\n```\n", spec, "```\n");
  return card;
}

}  // namespace petit::worker
