#include "server/jobs/job_events.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"

namespace petit::serving {
namespace {

using worker::v1::WorkerEvent;

void KeepScore(const v1::DevScore& score, v1::Job* job) {
  for (v1::DevScore& before : *job->mutable_dev_scores()) {
    if (before.arm() == score.arm() && before.set() == score.set()) {
      before = score;
      return;
    }
  }
  *job->add_dev_scores() = score;
}

}  // namespace

google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  const std::int64_t micros = absl::ToUnixMicros(time);
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(micros / 1000000);
  timestamp.set_nanos(static_cast<std::int32_t>(micros % 1000000 * 1000));
  return timestamp;
}

v1::JobEvent LogEvent(absl::Time now, v1::LogLine::Level level, std::string text) {
  v1::JobEvent event;
  *event.mutable_time() = ToTimestamp(now);
  event.mutable_log()->set_level(level);
  event.mutable_log()->set_text(std::move(text));
  return event;
}

v1::JobEvent StateEvent(absl::Time now, v1::JobState state, int attempt, std::string reason) {
  v1::JobEvent event;
  *event.mutable_time() = ToTimestamp(now);
  event.mutable_state_change()->set_state(state);
  event.mutable_state_change()->set_attempt(attempt);
  event.mutable_state_change()->set_reason(std::move(reason));
  return event;
}

void TakeEvent(const WorkerEvent& event, absl::Time now, JobRecord* record, std::vector<v1::JobEvent>* events) {
  v1::JobEvent seen;
  *seen.mutable_time() = event.has_time() ? event.time() : ToTimestamp(now);
  switch (event.event_case()) {
    case WorkerEvent::kStarted: {
      const worker::v1::Started& started = event.started();
      seen = LogEvent(now, v1::LogLine::INFO,
                      absl::StrCat("attempt ", record->job.attempt(), " runs as process ", started.pid(), " on ",
                                   started.host(), ", from step ", started.resumed_step()));
      break;
    }
    case WorkerEvent::kProgress:
      *seen.mutable_progress() = event.progress();
      *record->job.mutable_progress() = event.progress();
      if (event.progress().step() > record->best_step) {
        record->best_step = event.progress().step();
        record->barren_starts = 0;
      }
      break;
    case WorkerEvent::kDevScore:
      *seen.mutable_dev_score() = event.dev_score();
      KeepScore(event.dev_score(), &record->job);
      break;
    case WorkerEvent::kLog:
      *seen.mutable_log() = event.log();
      break;
    case WorkerEvent::kArmDropped:
      *seen.mutable_arm_dropped() = event.arm_dropped();
      break;
    case WorkerEvent::kFinished:
    case WorkerEvent::kStopped:
    case WorkerEvent::kFailed:
      record->outcome = event;
      return;
    case WorkerEvent::kStudent:  // told at the job's end, when it lies where it stays
    case WorkerEvent::kHeartbeat:
    case WorkerEvent::EVENT_NOT_SET:  // of a newer worker
      return;
  }
  events->push_back(std::move(seen));
}

void EndJob(absl::Time now, v1::JobState state, const std::string& reason, const std::vector<v1::Student>& students,
            JobRecord* record, std::vector<v1::JobEvent>* events) {
  record->job.set_state(state);
  *record->job.mutable_end_time() = ToTimestamp(now);
  if (state == v1::JOB_STATE_FAILED) record->job.set_error(reason);
  record->job.clear_students();
  for (const v1::Student& student : students) {
    *record->job.add_students() = student;
    v1::JobEvent& event = events->emplace_back();
    *event.mutable_time() = ToTimestamp(now);
    *event.mutable_student() = student;
  }
  // The last event.
  events->push_back(StateEvent(now, state, record->job.attempt(), reason));
}

}  // namespace petit::serving
