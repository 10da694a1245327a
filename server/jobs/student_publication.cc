#include "server/jobs/student_publication.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "server/jobs/files.h"
#include "server/jobs/publish_target.h"
#include "server/jobs/publisher.h"
#include "spdlog/spdlog.h"

namespace petit::serving {
namespace {

// `status` with words before its message.
absl::Status Explained(absl::string_view before, const absl::Status& status) {
  return {status.code(), absl::StrCat(before, status.message())};
}

std::string KeptArms(const v1::Job& job) {
  if (job.students().empty()) return absl::StrCat(job.name(), " has kept no student");
  return absl::StrCat(job.name(), " has kept the students of: ",
                      absl::StrJoin(job.students(), ", ", [](std::string* out, const v1::Student& student) {
                        absl::StrAppend(out, student.arm());
                      }));
}

// The arm to publish of those of the spec; empty stays empty.
absl::Status CheckArm(const v1::Job& job, const std::string& arm) {
  const auto& arms = job.spec().arms();
  if (arm.empty() || std::any_of(arms.begin(), arms.end(), [&arm](const v1::Arm& one) { return one.name() == arm; })) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "arm: ", job.name(), " has no arm '", arm, "'; it has: ",
      absl::StrJoin(arms, ", ", [](std::string* out, const v1::Arm& one) { absl::StrAppend(out, one.name()); })));
}

// The student of `arm`, or of the best or only one.
absl::StatusOr<v1::Student> ChooseStudent(const v1::Job& job, const std::string& arm) {
  if (!HasEnded(job.state())) {
    return absl::FailedPreconditionError(
        absl::StrCat(job.name(), " has not ended; its students can be published when it has"));
  }
  if (absl::Status status = CheckArm(job, arm); !status.ok()) return status;
  const bool only = job.spec().arms_size() == 1;
  const auto found = std::find_if(job.students().begin(), job.students().end(), [&](const v1::Student& student) {
    return arm.empty() ? student.best() || only : student.arm() == arm;
  });
  if (found == job.students().end()) {
    return absl::FailedPreconditionError(arm.empty()
                                             ? absl::StrCat("no arm is known to be the best; name one. ", KeptArms(job))
                                             : absl::StrCat("there is no student of arm '", arm, "'. ", KeptArms(job)));
  }
  if (!IsDirectory(found->checkpoint())) {
    return absl::FailedPreconditionError(
        absl::StrCat("the student of arm '", found->arm(), "' is no longer in ", found->checkpoint()));
  }
  return *found;
}

}  // namespace

// While it lives nobody else publishes students of the job.
class StudentPublication::Turn {
 public:
  Turn(StudentPublication* publication, const std::string& id) : publication_(*publication), id_(id) {
    std::unique_lock<std::mutex> lock(publication_.mutex_);
    publication_.changed_.wait(lock, [this] { return publication_.busy_.insert(id_).second; });
  }
  ~Turn() {
    {
      const std::lock_guard<std::mutex> lock(publication_.mutex_);
      publication_.busy_.erase(id_);
    }
    publication_.changed_.notify_all();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  StudentPublication& publication_;
  const std::string id_;
};

absl::StatusOr<JobRecord> StudentPublication::Publish(const std::string& id, const std::string& arm,
                                                      const std::string& publish_as) {
  if (publish_as.empty()) {
    return absl::InvalidArgumentError("publish_as: is empty; name a model whose configuration has a version_policy");
  }
  const std::string model = PlainModelName(publish_as);
  const Turn turn(this, id);
  absl::StatusOr<JobRecord> record = store_.Read(id);
  if (!record.ok()) return record.status();
  const absl::StatusOr<v1::Student> student = ChooseStudent(record->job, arm);
  if (!student.ok()) return student.status();
  const absl::StatusOr<ModelForJob> target = FindPublishTarget(models_, model);
  if (!target.ok()) return Explained("publish_as: ", target.status());
  const absl::StatusOr<Placed> placed = Place(*record, *student, *target);
  if (!placed.ok()) return placed.status();
  if (absl::Status status = models_.Serve(model, placed->version); !status.ok()) {
    WithdrawFailed(*record, *student, model, *placed);
    return Explained(absl::StrCat("version ", placed->version, " of model '", model, "' cannot be served: "), status);
  }
  const auto tell = [&](JobRecord* job, std::vector<v1::JobEvent>* /*events*/) -> absl::Status {
    for (v1::Student& one : *job->job.mutable_students()) {
      if (one.arm() == student->arm()) one.set_published_as(absl::StrCat(model, "/", placed->version));
    }
    return absl::OkStatus();
  };
  absl::StatusOr<JobRecord> updated = store_.Update(id, tell);
  if (!absl::IsNotFound(updated.status())) return updated;
  // Deleted meanwhile. The version stays, as published ones do.
  if (absl::Status status = tell(&*record, nullptr); !status.ok()) return status;
  return record;
}

absl::StatusOr<StudentPublication::Placed> StudentPublication::Place(const JobRecord& record,
                                                                     const v1::Student& student,
                                                                     const ModelForJob& target) {
  const absl::StatusOr<std::int64_t> before = FindVersion(target.versions_root, record.job.name(), student);
  if (!before.ok()) return before.status();
  if (*before != 0) return Placed{.version = *before};
  // A job is gone from the store before its files are: what was copied from a job that is still there is whole.
  const auto still_there = [&](std::int64_t /*version*/) { return store_.Read(record.id).status(); };
  const absl::StatusOr<std::int64_t> version =
      PlaceVersion(target.versions_root, record.job.name(), student, /*chosen=*/0, still_there);
  if (version.ok()) return Placed{.version = *version, .now = true};
  if (absl::Status gone = still_there(0); absl::IsNotFound(gone)) return gone;
  return version.status();
}

void StudentPublication::WithdrawFailed(const JobRecord& record, const v1::Student& student, const std::string& model,
                                        const Placed& placed) {
  // A student that has been served is a good one: something else is wrong, and others may have come to use the version.
  if (!placed.now && !student.published_as().empty()) return;
  const absl::StatusOr<ModelForJob> target = models_.Find(model);
  absl::Status status = target.status();
  if (status.ok()) {
    if (target->checkpoint == VersionPath(target->versions_root, placed.version)) return;  // it is served all the same
    status = WithdrawVersion(target->versions_root, record.job.name(), student, placed.version);
  }
  if (!status.ok()) {
    spdlog::error("job={} version {} of model {} stays: {}", record.id, placed.version, model, status.ToString());
  }
}

}  // namespace petit::serving
