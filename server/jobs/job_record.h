// A job as the server stores it.
#ifndef PETIT_SERVER_JOBS_JOB_RECORD_H_
#define PETIT_SERVER_JOBS_JOB_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>

#include "petit/v1/job.pb.h"
#include "petit/worker/v1/worker.pb.h"
#include "server/jobs/event_tail.h"

namespace petit::serving {

// What a RUNNING job is at. The numbers are on disk.
enum class Stage {
  kBetween = 0,     // no attempt; the next one is to be started
  kAttempt = 1,     // the attempt job.attempt() may have a worker
  kPublishing = 2,  // the attempt job.attempt() has finished, and nothing of it runs
};

struct JobRecord {
  // Chosen when it is created.
  std::int64_t number = 0;  // ascending in the order of creation, never used twice
  std::string id;
  worker::v1::WorkerTask task;

  v1::Job job;  // as clients see it

  Stage stage = Stage::kBetween;
  // Launcher::Start of the present attempt has returned OK.
  bool launched = false;
  TailPosition tail;  // of the present attempt's events
  // The present attempt's finished, stopped or failed event.
  std::optional<worker::v1::WorkerEvent> outcome;
  // The highest step that any attempt has reported.
  std::int64_t best_step = 0;
  // Starts since best_step rose.
  int barren_starts = 0;
  // Why the attempt before the next one came to nothing.
  std::string retry_reason;
  // The version that publish_as is to get; 0: not chosen yet.
  std::int64_t publish_version = 0;
};

inline bool HasEnded(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED || state == v1::JOB_STATE_CANCELLED;
}

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_JOB_RECORD_H_
