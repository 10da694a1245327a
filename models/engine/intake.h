// What several threads share with a replica's worker: the door and the pigeonholes behind it.
#ifndef PETIT_MODELS_ENGINE_INTAKE_H_
#define PETIT_MODELS_ENGINE_INTAKE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "models/engine/executor.h"
#include "models/engine/replica.h"

namespace petit::engine {

struct QueuedSequence {
  SequenceRequest request;
  absl::Time submitted;
  int rows = 0;               // reserved: the most its options allow
  std::int64_t kv_bytes = 0;  // Footprint
  std::int64_t queue_bytes = 0;
};

struct QueuedScore {
  ScoreRequest request;
  absl::Time submitted;
  std::int64_t queue_bytes = 0;
};

// Validates and bounds what is submitted, and hands it to the worker. The lock is held only to count and to move
// pointers. What was taken by the worker counts as waiting until Left... is called.
class Intake {
 public:
  // `executor` and `options` must outlive the intake.
  Intake(const Executor& executor, const ReplicaOptions& options) : executor_(executor), options_(options) {}

  // Each sequence goes to the intake with the least work among those that have room for it; all of them or none. The
  // same intakes always in the same order: the locks of all are taken. Errors as ReplicaLoop::Enqueue. At least one
  // intake, all of one model and with the same limits; `chosen` (may be null) learns which got something.
  static absl::Status Add(absl::Span<Intake* const> intakes, std::vector<SequenceRequest> requests,
                          std::vector<bool>* chosen) ABSL_NO_THREAD_SAFETY_ANALYSIS;
  // The same for a pair. Errors as ReplicaLoop::EnqueueScore.
  static absl::Status AddScore(absl::Span<Intake* const> intakes, ScoreRequest request,
                               std::vector<bool>* chosen) ABSL_NO_THREAD_SAFETY_ANALYSIS;
  void StopAccepting();

  // Appends what was added since the last call, in order of arrival.
  void Take(std::vector<std::unique_ptr<QueuedSequence>>* sequences, std::vector<std::unique_ptr<QueuedScore>>* scores);
  bool empty() const;

  // The worker tells what waits no longer.
  void LeftQueue(absl::Span<const QueuedSequence* const> sequences);
  void LeftScoreQueue(absl::Span<const std::unique_ptr<QueuedScore>> pairs);
  // ... and what is done with.
  void Answered(const QueuedSequence& sequence) { work_ -= sequence.rows; }
  void Answered(const QueuedScore& /*pair*/) { --work_; }

  // As ReplicaLoop::work.
  std::int64_t work() const { return work_; }

 private:
  struct Load {
    std::int64_t length = 0;
    std::int64_t bytes = 0;
  };
  struct Line {
    Load total;
    std::map<Flow, Load> flows;  // those that have somebody waiting
  };

  using Lines = Line Intake::*;

  // Checked, sized and of one flow.
  absl::StatusOr<std::vector<std::unique_ptr<QueuedSequence>>> Prepare(std::vector<SequenceRequest> requests) const;
  static Load LoadOf(const std::vector<std::unique_ptr<QueuedSequence>>& sequences);
  // Locks all; UNAVAILABLE where one is stopping.
  static absl::StatusOr<std::vector<std::unique_lock<std::mutex>>> Enter(absl::Span<Intake* const> intakes)
      ABSL_NO_THREAD_SAFETY_ANALYSIS;
  // INVALID_ARGUMENT for what could not even wait alone.
  absl::Status CheckCouldWait(const char* what, const Load& request) const;
  // The intake with the least work whose line has room; null: none has.
  static Intake* Place(absl::Span<Intake* const> intakes, Lines line, Flow flow,
                       std::int64_t bytes) ABSL_NO_THREAD_SAFETY_ANALYSIS;
  static absl::Status Full(absl::Span<Intake* const> intakes, Lines line, const char* what,
                           const Load& request) ABSL_NO_THREAD_SAFETY_ANALYSIS;
  // Whether the flow may have so much more waiting.
  bool MayWait(Flow flow, const Load& request, const Line& line) const;
  static void Remove(Flow flow, std::int64_t bytes, Line* line);
  // Reports the refusal and returns it.
  absl::Status Refuse(const char* reason, absl::Status status) const;

  const Executor& executor_;
  const ReplicaOptions& options_;

  std::atomic<std::int64_t> work_ = 0;

  mutable std::mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<QueuedSequence>> sequences_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<QueuedScore>> scores_ ABSL_GUARDED_BY(mutex_);
  Line waiting_ ABSL_GUARDED_BY(mutex_);
  Line waiting_scores_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace petit::engine

#endif  // PETIT_MODELS_ENGINE_INTAKE_H_
