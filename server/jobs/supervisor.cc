#include "server/jobs/supervisor.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/jobs/files.h"
#include "server/jobs/job_events.h"
#include "server/jobs/publisher.h"
#include "spdlog/spdlog.h"

namespace petit::serving {
namespace {

// Publications that fail with UNAVAILABLE before the job fails: a minute and a half.
constexpr int kMaxPublications = 6;
constexpr absl::Duration kFirstBackoff = absl::Seconds(2);
constexpr absl::Duration kMaxBackoff = absl::Minutes(1);

}  // namespace

absl::Duration Backoff(int count) {
  absl::Duration backoff = kFirstBackoff;
  for (int i = 1; i < count && backoff < kMaxBackoff; ++i) backoff *= 2;
  return std::min(backoff, kMaxBackoff);
}

JobSupervisor::JobSupervisor(const JobsSettings& settings, JobModels* models, Launcher* launcher, JobStore* store,
                             const JobClock* clock, bool publish_aside)
    : settings_(settings),
      models_(models),
      launcher_(launcher),
      store_(store),
      clock_(clock),
      publication_(models, store, publish_aside) {}

void JobSupervisor::Complain(const std::string& job, const absl::Status& status) {
  std::string& last = complaints_[job];
  if (last == status.message()) return;
  last = std::string(status.message());
  spdlog::error("job={} {}", job, status.ToString());
}

JobSupervisor::Watch& JobSupervisor::WatchOf(const JobRecord& record) {
  Watch& watch = watches_[record.id];
  if (watch.attempt != record.job.attempt()) {
    watch = Watch();
    watch.attempt = record.job.attempt();
    watch.heard = clock_->Uptime();
  }
  return watch;
}

void JobSupervisor::RunOnce() {
  workers_.clear();
  const auto running = store_->InState(v1::JOB_STATE_RUNNING);
  if (!running.ok()) {
    Complain("", running.status());
    return;
  }
  for (const auto& [id, device] : *running) Attend(id);
  StartQueued();
  RemoveOldest();
}

void JobSupervisor::StartQueued() {
  const auto queued = store_->InState(v1::JOB_STATE_QUEUED);
  if (!queued.ok()) return Complain("", queued.status());
  if (queued->empty()) return;
  const auto running = store_->InState(v1::JOB_STATE_RUNNING);
  if (!running.ok()) return Complain("", running.status());
  std::map<std::string, int> busy;
  for (const auto& [id, device] : *running) ++busy[device];
  for (const auto& [id, device] : *queued) {
    if (busy[device] >= settings_.max_running_per_device) continue;
    ++busy[device];
    BeginAttempt(id);
  }
}

void JobSupervisor::RemoveOldest() {
  const absl::StatusOr<std::vector<std::string>> oldest = store_->EndedBeyond(settings_.max_ended);
  if (!oldest.ok()) return Complain("", oldest.status());
  for (const std::string& id : *oldest) {
    absl::Status status = store_->Remove(id);
    if (status.ok()) status = RemoveTree(absl::StrCat(settings_.root, "/", id));
    if (status.ok()) status = store_->EmptiedTrash(id);
    if (!status.ok() && !absl::IsNotFound(status)) Complain(id, status);
    complaints_.erase(id);
  }
}

void JobSupervisor::Attend(const std::string& id) {
  absl::StatusOr<JobRecord> record = store_->Read(id);
  if (!record.ok()) return Complain(id, record.status());
  switch (record->stage) {
    case Stage::kBetween:
      if (record->job.cancelling()) return GiveUp(*record, v1::JOB_STATE_CANCELLED, "");
      if (clock_->Uptime() >= WatchOf(*record).not_before) BeginAttempt(id);
      return;
    case Stage::kAttempt:
      return AttendAttempt(*std::move(record));
    case Stage::kPublishing:
      return AttendPublication(*record);
  }
}

Launch JobSupervisor::LaunchOf(const JobRecord& record) const {
  const v1::Resources& resources = record.task.spec().resources();
  Launch launch;
  launch.job_id = record.id;
  launch.attempt = record.job.attempt();
  launch.job_directory = record.task.job_directory();
  launch.attempt_directory = absl::StrCat(launch.job_directory, "/attempts/", launch.attempt);
  launch.arguments = {"--task", absl::StrCat(launch.job_directory, "/task.textproto"), "--attempt",
                      absl::StrCat(launch.attempt)};
  launch.threads = std::max(record.task.threads(), 1);
  launch.memory_bytes = resources.memory_bytes();
  launch.tasks = std::max(resources.tasks(), 1);
  launch.device = record.task.device();
  return launch;
}

void JobSupervisor::GiveUp(const JobRecord& record, v1::JobState state, const std::string& reason) {
  std::vector<v1::Student> students;
  // Those that stay where the worker left them are as good.
  if (absl::Status status = KeepStudents(record, 1, &students); !status.ok()) Complain(record.id, status);
  End(record, state, reason, std::move(students));
}

void JobSupervisor::End(const JobRecord& record, v1::JobState state, const std::string& reason,
                        std::vector<v1::Student> students) {
  const auto change = [&](JobRecord* job, std::vector<v1::JobEvent>* events) -> absl::Status {
    EndJob(clock_->Now(), state, reason, students, job, events);
    return absl::OkStatus();
  };
  if (const auto updated = store_->Update(record.id, change); !updated.ok()) {
    return Complain(record.id, updated.status());
  }
  watches_.erase(record.id);
  complaints_.erase(record.id);
}

void JobSupervisor::AttendPublication(const JobRecord& record) {
  if (record.job.cancelling() && record.publish_version == 0 && !publication_.Busy(record.id)) {
    return GiveUp(record, v1::JOB_STATE_CANCELLED, "");
  }
  Watch& watch = WatchOf(record);
  if (clock_->Uptime() < watch.not_before) return;
  std::optional<Publication::Result> result = publication_.Run(record);
  if (!result.has_value()) return;
  if (result->status.ok()) return End(record, v1::JOB_STATE_SUCCEEDED, "", std::move(result->students));
  // With the version that was chosen meanwhile.
  const absl::StatusOr<JobRecord> now = store_->Read(record.id);
  if (!now.ok()) return Complain(record.id, now.status());
  if (now->job.cancelling() && now->publish_version == 0) return GiveUp(*now, v1::JOB_STATE_CANCELLED, "");
  if (absl::IsUnavailable(result->status) && ++watch.publications < kMaxPublications) {
    Complain(record.id, result->status);
    watch.not_before = clock_->Uptime() + Backoff(watch.publications);
    return;
  }
  if (now->publish_version != 0) {
    for (const v1::Student& student : result->students) {
      if (!student.best()) continue;
      if (absl::Status status = Withdraw(*now, *models_, student); !status.ok()) Complain(record.id, status);
    }
  }
  End(*now, v1::JOB_STATE_FAILED, std::string(result->status.message()), std::move(result->students));
}

}  // namespace petit::serving
