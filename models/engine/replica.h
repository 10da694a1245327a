// A replica: one executor, its weights and the one worker thread that owns it.
#ifndef PETIT_MODELS_ENGINE_REPLICA_H_
#define PETIT_MODELS_ENGINE_REPLICA_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "models/decoding/decoder.h"
#include "models/engine/executor.h"
#include "models/engine/policy.h"

namespace petit::engine {

// Shared by a request's sequences: set once, seen by the worker before its next step.
using CancelFlag = std::shared_ptr<std::atomic<bool>>;

struct SequenceTiming {
  absl::Duration queue;        // submission to admission
  absl::Duration encode;       // the encoder call that admitted it
  absl::Duration first_token;  // submission to the end of its first decoder step
  absl::Duration total;        // submission to completion
};

struct SequenceResult {
  std::vector<decoding::Hypothesis> hypotheses;  // best first, at least one
  SequenceTiming timing;
  int steps = 0;
};

struct SequenceRequest {
  std::vector<TokenId> source_ids;
  decoding::DecodingOptions options;  // must have passed decoding::Validate
  std::uint64_t sequence_index = 0;   // place in its request, for sampling
  absl::Time deadline = absl::InfiniteFuture();
  CancelFlag cancelled;  // may be null
  // Called exactly once, from the worker thread (or from Submit's thread never): must not block.
  // OK, DEADLINE_EXCEEDED, CANCELLED, RESOURCE_EXHAUSTED (device full), UNAVAILABLE (stopped), INTERNAL.
  std::function<void(absl::StatusOr<SequenceResult>)> done;
};

struct ScoreRequest {
  std::vector<TokenId> source_ids;
  std::vector<TokenId> target_ids;
  bool want_log_probs = false;
  std::shared_ptr<const std::vector<float>> reference_log_probs;  // may be null
  absl::Time deadline = absl::InfiniteFuture();
  CancelFlag cancelled;
  std::function<void(absl::StatusOr<ScoreResult>)> done;  // as SequenceRequest::done
};

// What a replica tells about itself. Called from the worker thread or the submitter's; must be cheap and
// thread-safe. Every method has an empty default.
class ReplicaObserver {
 public:
  virtual ~ReplicaObserver() = default;
  virtual void OnQueueLength(int /*sequences*/) {}
  virtual void OnActive(int /*sequences*/) {}
  virtual void OnRejected(std::string_view /*reason*/) {}  // "queue_length", "queue_bytes", "deadline"...
  virtual void OnAdmitted(absl::Duration /*queued*/, int /*source_tokens*/) {}
  virtual void OnStep(absl::Duration /*took*/, int /*sequences*/, int /*rows*/) {}
  virtual void OnFirstToken(absl::Duration /*since_submission*/) {}
  virtual void OnFinished(const absl::Status& /*status*/, int /*target_tokens*/) {}
};

struct ReplicaOptions {
  BatchingLimits limits;
  decoding::SpecialTokens special;
  std::shared_ptr<ReplicaObserver> observer;      // may be null
  std::function<absl::Time()> clock = absl::Now;  // tests step it by hand
};

// The single-threaded heart: queue, active sequences, executor. `Replica` runs it on a thread; tests drive it by
// hand, step by step. Enqueue/EnqueueScore are the only methods that may be called from other threads.
class ReplicaLoop {
 public:
  ReplicaLoop(std::unique_ptr<Executor> executor, ReplicaOptions options);
  ~ReplicaLoop();

  // Takes the request, or says why not and leaves `done` uncalled: RESOURCE_EXHAUSTED (queue full, or a sequence
  // that could never fit), UNAVAILABLE (stopping), INVALID_ARGUMENT (ids out of range, empty source).
  absl::Status Enqueue(SequenceRequest request);
  // All or nothing: a request of several texts is not torn apart by a full queue.
  absl::Status Enqueue(std::vector<SequenceRequest> requests);
  absl::Status EnqueueScore(ScoreRequest request);

  // One turn: drop the expired and the cancelled, admit, step, score a chunk. False if there was nothing to do.
  bool RunOnce();

  bool HasWork() const;
  // Fails everything queued and active with `status`.
  void FailAll(const absl::Status& status);

  const ExecutorInfo& info() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Replica {
 public:
  Replica(std::unique_ptr<Executor> executor, ReplicaOptions options);
  // Stops at once: what is queued or active fails with UNAVAILABLE. Drain first for a graceful end.
  ~Replica();

  absl::Status Submit(SequenceRequest request);
  absl::Status Submit(std::vector<SequenceRequest> requests);
  absl::Status SubmitScore(ScoreRequest request);

  // Wakes the worker so that it notices a cancellation at once rather than at its next step.
  void NotifyCancelled();

  // Refuses newcomers, then waits until all accepted work is done or the deadline has passed; true if all is done.
  bool Drain(absl::Time deadline);

  const ExecutorInfo& info() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace petit::engine

#endif  // PETIT_MODELS_ENGINE_REPLICA_H_
