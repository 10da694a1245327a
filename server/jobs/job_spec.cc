#include "server/jobs/job_spec.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/jobs/data_file.h"
#include "server/jobs/spec_check.h"
#include "server/jobs/spec_fields.h"
#include "server/jobs/spec_models.h"

namespace petit::serving {
namespace {

// Resolves sets of data. A file that several sets share is read once.
class DataResolver {
 public:
  DataResolver(const std::string& data_root, const SpecModels& models) : data_root_(data_root), models_(models) {}

  // A v1::TrainingSet or v1::DevSet. Sets `take` to what there is.
  template <class Set>
  absl::Status Resolve(const std::string& field, Set* set, worker::v1::ResolvedSet* resolved) {
    absl::StatusOr<std::string> prefix = FindPrefix(models_, field, set->source_language(), set->target_language());
    if (!prefix.ok()) return prefix.status();
    absl::StatusOr<DataFile> file = DataFile::Open(data_root_, set->path());
    if (!file.ok()) return FieldError(field + ".path", file.status());
    const absl::StatusOr<std::int64_t> lines = Lines(&*file);
    if (!lines.ok()) return FieldError(field + ".path", lines.status());
    if (set->skip() >= *lines) {
      return FieldError(field + ".skip", absl::StrCat("is ", set->skip(), ", but ", set->path(), " has ", *lines,
                                                      " pairs; it must be less"));
    }
    const std::int64_t left = *lines - set->skip();
    set->set_take(set->take() == 0 ? left : std::min(set->take(), left));
    resolved->set_path(file->real_path());
    resolved->set_prefix(*std::move(prefix));
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<std::int64_t> Lines(DataFile* file) {
    const auto known = lines_.find(file->real_path());
    if (known != lines_.end()) return known->second;
    absl::StatusOr<std::int64_t> lines = file->CountPairs();
    if (lines.ok()) lines_[file->real_path()] = *lines;
    return lines;
  }

  const std::string& data_root_;
  const SpecModels& models_;
  std::map<std::string, std::int64_t> lines_;
};

}  // namespace

absl::StatusOr<worker::v1::WorkerTask> ResolveJobSpec(const v1::JobSpec& spec, const JobsSettings& settings,
                                                      const JobModels& models) {
  worker::v1::WorkerTask task;
  v1::JobSpec* complete = task.mutable_spec();
  *complete = spec;
  if (absl::Status status = CompleteFields(settings, complete); !status.ok()) return status;
  absl::StatusOr<SpecModels> resolved = ResolveModels(models, complete);
  if (!resolved.ok()) return resolved.status();
  DataResolver data(settings.data_root, *resolved);
  for (int i = 0; i < complete->train_size(); ++i) {
    if (absl::Status status =
            data.Resolve(absl::StrCat("train[", i, "]"), complete->mutable_train(i), task.add_train());
        !status.ok()) {
      return status;
    }
  }
  for (int i = 0; i < complete->dev_size(); ++i) {
    if (absl::Status status = data.Resolve(absl::StrCat("dev[", i, "]"), complete->mutable_dev(i), task.add_dev());
        !status.ok()) {
      return status;
    }
  }
  if (absl::Status status = CompleteLengths(complete); !status.ok()) return status;
  task.set_teacher_checkpoint(std::move(resolved->teacher_checkpoint));
  task.set_teacher_name(complete->teacher());
  task.set_student_checkpoint(std::move(resolved->student_checkpoint));
  task.set_device(complete->resources().device());
  task.set_threads(complete->resources().threads());
  task.set_build("petit " PETIT_VERSION);
  return task;
}

}  // namespace petit::serving
