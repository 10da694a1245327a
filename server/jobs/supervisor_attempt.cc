// What JobSupervisor does about one start of a worker.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/text_format.h"
#include "server/jobs/files.h"
#include "server/jobs/job_events.h"
#include "server/jobs/supervisor.h"

namespace petit::serving {
namespace {

// Between looks at a worker that cost the cluster's scheduler a command each.
constexpr absl::Duration kSlurmPollInterval = absl::Seconds(2);
// Between signals to a worker that does not end.
constexpr absl::Duration kStopInterval = absl::Seconds(5);
// Batches of events that one look takes, so that a worker that writes without end does not keep the others waiting.
constexpr int kMaxBatches = 8;
// Of a worker's log that may tell why it died.
constexpr std::int64_t kLastWordsBytes = 4096;

// Of errors of a start.
bool MayTryAgain(const absl::Status& status) {
  return absl::IsResourceExhausted(status) || absl::IsUnavailable(status) || absl::IsAlreadyExists(status);
}

// Of a worker that died without an event: a memory limit hits where nothing can be told any more, too, as before main()
// or in a thread of a library.
bool SaysOutOfMemory(absl::string_view last_words) {
  for (const absl::string_view text : {"std::bad_alloc", "annot allocate memory", "Thread creation failed"}) {
    if (absl::StrContains(last_words, text)) return true;
  }
  return false;
}

}  // namespace

void JobSupervisor::BeginAttempt(const std::string& id) {
  const auto begin = [this](JobRecord* record, std::vector<v1::JobEvent>* events) -> absl::Status {
    v1::Job& job = record->job;
    if (HasEnded(job.state()) || job.cancelling()) return absl::CancelledError("the job was cancelled");
    if (job.state() == v1::JOB_STATE_QUEUED) *job.mutable_start_time() = ToTimestamp(clock_->Now());
    job.set_state(v1::JOB_STATE_RUNNING);
    job.set_attempt(job.attempt() + 1);
    record->stage = Stage::kAttempt;
    record->launched = false;
    record->tail = TailPosition();
    record->outcome.reset();
    ++record->barren_starts;
    events->push_back(StateEvent(clock_->Now(), v1::JOB_STATE_RUNNING, job.attempt(), record->retry_reason));
    record->retry_reason.clear();
    return absl::OkStatus();
  };
  const absl::StatusOr<JobRecord> record = store_->Update(id, begin);
  if (!record.ok()) {
    if (!absl::IsCancelled(record.status())) Complain(id, record.status());
    return;
  }
  Watch& watch = WatchOf(*record);
  const Launch launch = LaunchOf(*record);
  watch.start_error = Prepare(*record, launch);
  watch.unprepared = !watch.start_error.ok();
  if (!watch.unprepared) watch.start_error = launcher_->Start(launch);
  watch.heard = clock_->Uptime();
  if (!watch.start_error.ok()) return;  // the next look tells what has become of it
  watch.launched = true;
  const auto launched = [](JobRecord* job, std::vector<v1::JobEvent>* /*events*/) {
    job->launched = true;
    return absl::OkStatus();
  };
  if (const auto updated = store_->Update(id, launched); !updated.ok()) Complain(id, updated.status());
}

absl::Status JobSupervisor::Prepare(const JobRecord& record, const Launch& launch) {
  const std::string attempts = absl::StrCat(launch.job_directory, "/attempts");
  if (absl::Status status = MakeDirectories(attempts); !status.ok()) return status;
  std::string text;
  if (!google::protobuf::TextFormat::PrintToString(record.task, &text)) {
    return absl::InternalError("the worker's task cannot be written as text");
  }
  // The first attempt's stays: it is the same.
  const std::string& path = launch.arguments[1];
  if (const auto there = ReadSmallFile(path, text.size()); !there.ok() || *there != text) {
    if (absl::Status status = WriteFileDurably(path, text); !status.ok()) return status;
  }
  // New, so that no other attempt's events are taken for its own.
  return MakeNewDirectory(launch.attempt_directory);
}

absl::StatusOr<WorkerReport> JobSupervisor::Poll(const JobRecord& record, const Launch& launch, Watch* watch) {
  const absl::Duration interval =
      settings_.launcher == LauncherKind::kSlurm ? kSlurmPollInterval : absl::ZeroDuration();
  if (clock_->Uptime() - watch->polled < interval) return absl::UnavailableError("asked a moment ago");
  watch->polled = clock_->Uptime();
  // The directory is made before the launcher hears of the attempt.
  if (watch->unprepared) return WorkerReport();
  if (!record.launched && !watch->launched && !IsDirectory(launch.attempt_directory)) return WorkerReport();
  absl::StatusOr<WorkerReport> report = launcher_->Poll(launch);
  if (!report.ok()) Complain(record.id, report.status());
  return report;
}

bool JobSupervisor::IsOver(const WorkerReport& report, const JobRecord& record, const Watch& watch) const {
  if (report.state == WorkerState::kEnded) return true;
  if (report.state != WorkerState::kNotStarted) return false;
  // One that was started may take a while to be seen; it has been stopped before it counts as lost.
  return (!record.launched && !watch.launched) || watch.lost;
}

void JobSupervisor::AttendAttempt(JobRecord record) {
  Watch& watch = WatchOf(record);
  const Launch launch = LaunchOf(record);
  // Before its events are read: if it is over now, all that it wrote is there to be read.
  const absl::StatusOr<WorkerReport> report = Poll(record, launch, &watch);
  const bool is_over = report.ok() && IsOver(*report, record, watch);
  // What lies in the directory of one that never was is not its own.
  const bool never_was = is_over && report->state == WorkerState::kNotStarted && !record.launched && !watch.launched;
  const absl::Status taken = never_was ? absl::OkStatus() : TakeEvents(is_over, &record, &watch);
  if (report.ok() && report->state == WorkerState::kPending) watch.heard = clock_->Uptime();
  // One whose events cannot be read is there, too, and grows silent.
  if (!is_over) {
    workers_.push_back({record.job.name(), record.job.attempt(), clock_->Now() - (clock_->Uptime() - watch.heard)});
  }
  if (!taken.ok()) return Complain(record.id, taken);
  if (is_over) return Conclude(record, *report, watch);
  Press(record, launch, &watch);
}

absl::Status JobSupervisor::TakeEvents(bool all, JobRecord* record, Watch* watch) {
  const std::string path = absl::StrCat(LaunchOf(*record).attempt_directory, "/events.jsonl");
  for (int i = 0; all || i < kMaxBatches; ++i) {
    // Nothing comes after the outcome that is of interest.
    if (!watch->damage.ok() || record->outcome.has_value()) return absl::OkStatus();
    const absl::StatusOr<TailBatch> batch = ReadEvents(path, record->tail);
    if (!batch.ok()) return batch.status();
    if (!batch->events.empty()) {
      const auto take = [&](JobRecord* job, std::vector<v1::JobEvent>* events) -> absl::Status {
        for (const worker::v1::WorkerEvent& event : batch->events) TakeEvent(event, clock_->Now(), job, events);
        job->tail = batch->end;
        return absl::OkStatus();
      };
      absl::StatusOr<JobRecord> updated = store_->Update(record->id, take);
      if (!updated.ok()) return updated.status();
      *record = *std::move(updated);
      watch->heard = clock_->Uptime();
    }
    watch->damage = batch->damage;
    if (!batch->more) return absl::OkStatus();
  }
  return absl::OkStatus();
}

void JobSupervisor::Press(const JobRecord& record, const Launch& launch, Watch* watch) {
  const absl::Duration now = clock_->Uptime();
  const bool has_outcome = record.outcome.has_value();
  if (!watch->lost && !has_outcome && now - watch->heard > settings_.heartbeat_timeout) {
    watch->lost = true;
    const std::string text = absl::StrCat("attempt ", record.job.attempt(), " gave no sign of life for ",
                                          absl::FormatDuration(settings_.heartbeat_timeout), "; it is being stopped");
    const auto tell = [&](JobRecord* /*job*/, std::vector<v1::JobEvent>* events) -> absl::Status {
      events->push_back(LogEvent(clock_->Now(), v1::LogLine::WARNING, text));
      return absl::OkStatus();
    };
    if (const auto updated = store_->Update(record.id, tell); !updated.ok()) Complain(record.id, updated.status());
  }
  const bool must_leave = record.job.cancelling() || has_outcome;
  if (must_leave && !watch->leaving.has_value()) watch->leaving = now;
  const bool kill = watch->lost || !watch->damage.ok() ||
                    (watch->leaving.has_value() && now - *watch->leaving >= settings_.stop_grace);
  const bool terminate = record.job.cancelling() && !watch->terminated;
  if (!kill && !terminate) return;
  // The first signal of each kind at once; after that, seldom.
  if (kill == watch->killed && now - watch->stop_sent < kStopInterval) return;
  watch->stop_sent = now;
  watch->killed = kill;
  const absl::Status status = launcher_->Stop(launch, kill);
  if (!status.ok()) return Complain(record.id, status);
  watch->terminated = true;
}

void JobSupervisor::Conclude(const JobRecord& record, const WorkerReport& report, const Watch& watch) {
  if (record.job.cancelling()) return GiveUp(record, v1::JOB_STATE_CANCELLED, "");
  if (record.outcome.has_value()) return ConcludeOutcome(record);
  const std::string attempt = absl::StrCat("attempt ", record.job.attempt());
  const std::string log_path = absl::StrCat(LaunchOf(record).attempt_directory, "/worker.log");
  const std::string log = absl::StrCat("; its log is ", log_path);
  const bool died = report.state == WorkerState::kEnded && watch.damage.ok() && !watch.lost;
  if (report.lost_memory || (died && SaysOutOfMemory(ReadFileEnd(log_path, kLastWordsBytes)))) {
    return GiveUp(record, v1::JOB_STATE_FAILED,
                  absl::StrCat(attempt, " ended for wanting more memory than it may use (", report.reason,
                               "); raise resources.memory_bytes or lower training.micro_batch_size", log));
  }
  if (!watch.start_error.ok() && record.tail.sequence == 0) {
    const std::string reason =
        absl::StrCat(attempt, " could not be started: ", std::string(watch.start_error.message()));
    if (!MayTryAgain(watch.start_error)) return GiveUp(record, v1::JOB_STATE_FAILED, reason);
    return TryAgain(record, reason, /*started=*/true);
  }
  if (!watch.damage.ok()) {
    return TryAgain(record, absl::StrCat(attempt, " failed: ", std::string(watch.damage.message())), /*started=*/true);
  }
  if (watch.lost) {
    return TryAgain(record, absl::StrCat(attempt, " gave no sign of life and was stopped", log), /*started=*/true);
  }
  if (report.state == WorkerState::kNotStarted) {
    return TryAgain(record, absl::StrCat(attempt, " was not started before the server ended"), /*started=*/false);
  }
  const std::string how = report.reason.empty() ? "" : absl::StrCat(" (", report.reason, ")");
  TryAgain(record, absl::StrCat(attempt, " ended without a result", how, log), /*started=*/true);
}

void JobSupervisor::ConcludeOutcome(const JobRecord& record) {
  const std::string attempt = absl::StrCat("attempt ", record.job.attempt());
  if (record.outcome->has_finished()) {
    const auto publish = [](JobRecord* job, std::vector<v1::JobEvent>* /*events*/) {
      job->stage = Stage::kPublishing;
      return absl::OkStatus();
    };
    const absl::StatusOr<JobRecord> updated = store_->Update(record.id, publish);
    if (!updated.ok()) return Complain(record.id, updated.status());
    return AttendPublication(*updated);
  }
  if (record.outcome->has_stopped()) {
    return TryAgain(record,
                    absl::StrCat(attempt, " was stopped by somebody else, at step ", record.outcome->stopped().step()),
                    /*started=*/true);
  }
  const worker::v1::Failed& failed = record.outcome->failed();
  const std::string reason = failed.reason().empty() ? absl::StrCat("no reason given; its log is ",
                                                                    LaunchOf(record).attempt_directory, "/worker.log")
                                                     : failed.reason();
  if (!failed.retryable()) return GiveUp(record, v1::JOB_STATE_FAILED, reason);
  TryAgain(record, absl::StrCat(attempt, " failed: ", reason), /*started=*/true);
}

void JobSupervisor::TryAgain(const JobRecord& record, const std::string& reason, bool started) {
  if (started && record.barren_starts >= settings_.max_attempts) {
    return GiveUp(record, v1::JOB_STATE_FAILED,
                  absl::StrCat(record.barren_starts, " starts in a row did not get beyond step ", record.best_step,
                               "; the last: ", reason));
  }
  const auto change = [&](JobRecord* job, std::vector<v1::JobEvent>* events) -> absl::Status {
    job->stage = Stage::kBetween;
    job->retry_reason = reason;
    if (!started) --job->barren_starts;
    events->push_back(LogEvent(clock_->Now(), v1::LogLine::WARNING, absl::StrCat(reason, "; it is tried again")));
    return absl::OkStatus();
  };
  if (const auto updated = store_->Update(record.id, change); !updated.ok()) {
    return Complain(record.id, updated.status());
  }
  if (started) WatchOf(record).not_before = clock_->Uptime() + Backoff(record.barren_starts);
}

}  // namespace petit::serving
