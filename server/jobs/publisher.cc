#include "server/jobs/publisher.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"
#include "server/jobs/files.h"
#include "server/jobs/publish_target.h"

namespace petit::serving {
namespace {

constexpr std::size_t kMaxMarkBytes = 4096;

std::string Mark(const std::string& job, const v1::Student& student) {
  return nlohmann::json{{"job", job}, {"arm", student.arm()}}.dump() + "\n";
}

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::symlink_status(path, error).type() != std::filesystem::file_type::not_found;
}

// A directory that this student was copied to.
absl::StatusOr<bool> IsOurs(const std::string& directory, const std::string& job, const v1::Student& student) {
  const absl::StatusOr<std::string> mark = ReadSmallFile(absl::StrCat(directory, "/", kVersionMarkFile), kMaxMarkBytes);
  if (mark.ok()) return *mark == Mark(job, student);
  if (absl::IsNotFound(mark.status()) || absl::IsInvalidArgument(mark.status())) return false;
  return mark.status();
}

// The numbers that anything there has for a name, complete or not, ascending. None where there is no such directory.
absl::StatusOr<std::vector<std::int64_t>> Versions(const std::string& versions_root) {
  std::vector<std::int64_t> versions;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(versions_root, error), end; !error && entry != end;
       entry.increment(error)) {
    std::int64_t version = 0;
    if (absl::SimpleAtoi(entry->path().filename().string(), &version) && version > 0) versions.push_back(version);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot read ", versions_root));
  }
  std::sort(versions.begin(), versions.end());
  return versions;
}

// Not a number, so nobody takes it for a version; the student's own, so nobody else has it.
std::string TemporaryPath(const std::string& versions_root, const std::string& job, const v1::Student& student) {
  return absl::StrCat(versions_root, "/.tmp-", job.substr(job.rfind('/') + 1), "-", student.arm());
}

bool IsPlainName(absl::string_view arm) {
  return !arm.empty() && arm != "." && arm != ".." && arm.find('/') == absl::string_view::npos;
}

// Moves attempts/`attempt`/students/ARM over what an earlier call left.
absl::Status MoveStudent(const std::string& from, const std::string& to) {
  if (absl::Status status = RemoveTree(to); !status.ok()) return status;
  return MoveDurably(from, to);
}

absl::Status CopyMarked(const v1::Student& student, const std::string& mark, const std::string& to) {
  if (absl::Status status = CopyTree(student.checkpoint(), to); !status.ok()) return status;
  const std::string path = absl::StrCat(to, "/", kVersionMarkFile);
  // A mark that came along with the checkpoint may be a link to another one's bytes.
  if (absl::Status status = RemoveTree(path); !status.ok()) return status;
  return WriteFileDurably(path, mark);
}

}  // namespace

absl::Status KeepStudents(const JobRecord& record, int first_attempt, std::vector<v1::Student>* students) {
  students->clear();
  absl::Status result;
  const std::string& directory = record.task.job_directory();
  const std::string kept = absl::StrCat(directory, "/students");
  for (const v1::Arm& arm : record.task.spec().arms()) {
    if (!IsPlainName(arm.name())) continue;  // a checked spec has none
    const std::string to = absl::StrCat(kept, "/", arm.name());
    std::string from;
    for (int attempt = record.job.attempt(); attempt >= std::max(first_attempt, 1) && from.empty(); --attempt) {
      std::string path = absl::StrCat(directory, "/attempts/", attempt, "/students/", arm.name());
      if (IsDirectory(path)) from = std::move(path);
    }
    std::string at = to;
    if (!from.empty()) {
      absl::Status status = MakeDirectories(kept);
      if (status.ok()) status = MoveStudent(from, to);
      if (!status.ok()) {
        result = status;
        at = from;
      }
    }
    if (!IsDirectory(at)) continue;
    v1::Student& student = students->emplace_back();
    student.set_arm(arm.name());
    student.set_checkpoint(at);
  }
  return result;
}

std::string VersionPath(const std::string& versions_root, std::int64_t version) {
  return absl::StrCat(versions_root, "/", version);
}

absl::StatusOr<std::int64_t> FindVersion(const std::string& versions_root, const std::string& job,
                                         const v1::Student& student) {
  const absl::StatusOr<std::vector<std::int64_t>> versions = Versions(versions_root);
  if (!versions.ok()) return versions.status();
  for (auto version = versions->rbegin(); version != versions->rend(); ++version) {
    const std::string path = VersionPath(versions_root, *version);
    if (!IsDirectory(path)) continue;
    const absl::StatusOr<bool> ours = IsOurs(path, job, student);
    if (!ours.ok()) return ours.status();
    if (*ours) return *version;
  }
  return 0;
}

absl::StatusOr<std::int64_t> PlaceVersion(const std::string& versions_root, const std::string& job,
                                          const v1::Student& student, std::int64_t chosen,
                                          const std::function<absl::Status(std::int64_t version)>& choose) {
  if (absl::Status status = MakeDirectories(versions_root); !status.ok()) return status;
  const std::string temporary = TemporaryPath(versions_root, job, student);
  absl::Status status = RemoveTree(temporary);
  std::int64_t version = chosen;
  bool copied = false;
  while (status.ok()) {
    if (version != 0) {
      const std::string path = VersionPath(versions_root, version);
      const absl::StatusOr<bool> ours = IsOurs(path, job, student);
      if (!ours.ok()) return ours.status();
      if (*ours) return version;
      if (Exists(path)) version = 0;  // somebody was faster
    }
    if (!copied) status = CopyMarked(student, Mark(job, student), temporary);
    if (!status.ok()) break;
    copied = true;
    if (version == 0) {
      const absl::StatusOr<std::vector<std::int64_t>> versions = Versions(versions_root);
      status = versions.status();
      if (!status.ok()) break;
      version = versions->empty() ? 1 : versions->back() + 1;
      status = choose(version);
    }
    if (!status.ok()) break;
    status = MoveDurably(temporary, VersionPath(versions_root, version));
    if (status.ok()) return version;
    if (absl::IsAlreadyExists(status)) status = absl::OkStatus();
  }
  RemoveTree(temporary).IgnoreError();
  return status;
}

absl::Status WithdrawVersion(const std::string& versions_root, const std::string& job, const v1::Student& student,
                             std::int64_t version) {
  const std::string path = VersionPath(versions_root, version);
  const absl::StatusOr<bool> ours = IsOurs(path, job, student);
  if (!ours.ok()) return ours.status();
  if (!*ours) return absl::OkStatus();
  // Half a version must never be seen.
  const std::string temporary = TemporaryPath(versions_root, job, student);
  absl::Status status = RemoveTree(temporary);
  if (status.ok()) status = MoveDurably(path, temporary);
  if (status.ok()) status = RemoveTree(temporary);
  return status;
}

absl::Status Withdraw(const JobRecord& record, const JobModels& models, const v1::Student& student) {
  const absl::StatusOr<ModelForJob> model = models.Find(record.task.spec().publish_as());
  if (!model.ok()) return model.status();
  return WithdrawVersion(model->versions_root, record.job.name(), student, record.publish_version);
}

absl::Status Publish(const JobRecord& record, JobModels* models,
                     const std::function<absl::Status(std::int64_t version)>& choose,
                     std::vector<v1::Student>* students) {
  if (absl::Status status = KeepStudents(record, record.job.attempt(), students); !status.ok()) return status;
  const std::string& best_arm = record.outcome->finished().best_arm();
  const auto best = std::find_if(students->begin(), students->end(),
                                 [&best_arm](const v1::Student& student) { return student.arm() == best_arm; });
  if (best == students->end() || !Exists(best->checkpoint() + "/config.json")) {
    return absl::InternalError(absl::StrCat("the worker finished without a student of its best arm '", best_arm,
                                            "'; see attempts/", record.job.attempt(), "/worker.log below ",
                                            record.task.job_directory()));
  }
  best->set_best(true);
  const std::string& model = record.task.spec().publish_as();
  if (model.empty()) return absl::OkStatus();

  const std::string stays = absl::StrCat("; the student stays in ", best->checkpoint());
  const auto explained = [&](const absl::Status& status) {
    return absl::Status(status.code(),
                        absl::StrCat("publish_as '", model, "': ", std::string(status.message()), stays));
  };
  const absl::StatusOr<ModelForJob> found = FindPublishTarget(*models, model);
  if (!found.ok()) return explained(found.status());
  const absl::StatusOr<std::int64_t> version =
      PlaceVersion(found->versions_root, record.job.name(), *best, record.publish_version, choose);
  if (!version.ok()) return explained(version.status());
  if (absl::Status status = models->Serve(model, *version); !status.ok()) {
    return explained(absl::Status(
        status.code(), absl::StrCat("version ", *version, " cannot be served: ", std::string(status.message()))));
  }
  best->set_published_as(absl::StrCat(model, "/", *version));
  return absl::OkStatus();
}

}  // namespace petit::serving
