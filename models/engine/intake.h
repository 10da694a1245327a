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

  // Errors as ReplicaLoop::Enqueue, EnqueueTogether and EnqueueScore.
  absl::Status Add(std::vector<SequenceRequest> requests);
  static absl::Status AddTogether(absl::Span<Intake* const> intakes,
                                  std::vector<Share> shares) ABSL_NO_THREAD_SAFETY_ANALYSIS;  // takes the locks of all
  absl::Status AddScore(ScoreRequest request);
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

  // A share, checked.
  struct Prepared {
    Flow flow = 0;
    Load load;
    std::int64_t rows = 0;
    std::vector<std::unique_ptr<QueuedSequence>> queued;
  };

  // `of`: sequences of the whole request.
  absl::StatusOr<Prepared> Prepare(Share share, std::size_t of) const;
  void Push(Prepared prepared) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Says why a request of this load cannot be taken, or adds it to `line`.
  absl::Status Reserve(const char* what, Flow flow, const Load& request, Line* line)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the flow may have so much more waiting.
  bool MayWait(Flow flow, const Load& request, const Line& line) const;
  static void Remove(Flow flow, const Load& load, Line* line);
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
