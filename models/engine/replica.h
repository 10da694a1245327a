// A replica: one executor and the one worker thread that owns it.
#ifndef PETIT_MODELS_ENGINE_REPLICA_H_
#define PETIT_MODELS_ENGINE_REPLICA_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "models/decoding/decoder.h"
#include "models/engine/executor.h"
#include "models/engine/policy.h"
#include "models/engine/turns.h"

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
  Flow flow = 0;         // shares the replica's turns; one and the same for all sequences of a request
  // Called exactly once, from the worker thread (never from Submit's), outside of any lock: must not block.
  // OK, DEADLINE_EXCEEDED, CANCELLED, RESOURCE_EXHAUSTED (device full), UNAVAILABLE (stopped), INTERNAL.
  std::function<void(absl::StatusOr<SequenceResult>)> done;
};

struct ScoreRequest {
  std::vector<TokenId> source_ids;
  std::vector<TokenId> target_ids;
  bool want_log_probs = false;
  // May be null. [target_ids.size() * distribution_size]
  std::shared_ptr<const std::vector<float>> reference_log_probs;
  absl::Time deadline = absl::InfiniteFuture();
  CancelFlag cancelled;
  Flow flow = 0;
  std::function<void(absl::StatusOr<ScoreResult>)> done;  // as SequenceRequest::done
};

// What a replica tells about itself. Called from the worker thread or the submitter's; must be cheap and
// thread-safe, and must not call the replica. Every method has an empty default.
class ReplicaObserver {
 public:
  virtual ~ReplicaObserver() = default;
  // Waiting sequences. Called under the queue's lock, so that the last call tells the present length.
  virtual void OnQueueLength(int /*sequences*/) {}
  virtual void OnActive(int /*sequences*/) {}  // admitted and not yet answered
  // Once per refused call: "invalid", "too_large" (could never fit), "queue_length", "queue_bytes", "stopping".
  // Once per sequence whose deadline passed before it was admitted: "deadline".
  virtual void OnRejected(std::string_view /*reason*/) {}
  virtual void OnAdmitted(absl::Duration /*queued*/, int /*source_tokens*/) {}
  virtual void OnStep(absl::Duration /*took*/, int /*sequences*/, int /*rows*/) {}  // the executor's Step alone
  virtual void OnHeld(int /*sequences*/) {}  // left out of that step for the sake of a smaller flow
  virtual void OnFirstToken(absl::Duration /*since_submission*/) {}
  // Once per accepted sequence, before its `done`. `target_tokens`: generated ones of all returned hypotheses, EOS
  // included; 0 after a failure.
  virtual void OnFinished(const absl::Status& /*status*/, int /*target_tokens*/) {}
};

struct ReplicaOptions {
  BatchingLimits limits;
  decoding::SpecialTokens special;
  std::shared_ptr<ReplicaObserver> observer;      // may be null
  std::function<absl::Time()> clock = absl::Now;  // tests step it by hand
};

class Intake;

// The single-threaded heart: queue, active sequences, executor. `Replica` runs it on a thread; tests drive it by
// hand, step by step. Only Enqueue..., StopAccepting and work may be called from other threads, and from a `done`.
class ReplicaLoop {
 public:
  ReplicaLoop(std::unique_ptr<Executor> executor, ReplicaOptions options);
  // What is still queued or active fails with UNAVAILABLE.
  ~ReplicaLoop();

  // Takes the request, or says why not and leaves `done` uncalled: RESOURCE_EXHAUSTED (queue full: try again),
  // UNAVAILABLE (stopping), INVALID_ARGUMENT (ids out of range, empty source, or more than could ever fit: more
  // rows, key/value bytes or sequences than the limits allow).
  absl::Status Enqueue(SequenceRequest request);
  // All or nothing: a request of several texts is not torn apart by a full queue.
  absl::Status Enqueue(std::vector<SequenceRequest> requests);
  absl::Status EnqueueScore(ScoreRequest request);
  // Rows of the sequences and pairs to score that were accepted and are not answered; from any thread.
  std::int64_t work() const;

  // Refuses newcomers with UNAVAILABLE from now on; the accepted are served.
  void StopAccepting();

  // One turn: drop the expired and the cancelled, admit, step, score a chunk. False if there was nothing to do:
  // then nothing waits either, since whatever waits alone fits.
  bool RunOnce();

  bool HasWork() const;
  // Fails everything queued and active with `status`.
  void FailAll(const absl::Status& status);

  // Where several replicas are given work together; thread-safe.
  Intake* intake();

  const ExecutorInfo& info() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Replica {
 public:
  Replica(std::unique_ptr<Executor> executor, ReplicaOptions options);
  // Stops after the executor call in progress: what is queued or active fails with UNAVAILABLE, and all `done`s have
  // returned. Drain first for a graceful end. A `done` may destroy its replica (the last user of an unloaded model
  // does); then the worker ends by itself, after this returns.
  ~Replica();

  // As ReplicaLoop::Enqueue and EnqueueScore; from any thread. The caller keeps the replica alive until this returns: a
  // `done` that holds it does not, since it may have run and gone by then.
  absl::Status Submit(SequenceRequest request);
  absl::Status Submit(std::vector<SequenceRequest> requests);
  absl::Status SubmitScore(ScoreRequest request);
  // As ReplicaLoop::work.
  std::int64_t work() const;

  // Refuses newcomers and lets the worker end after the executor call in progress, without waiting for it. What is left
  // fails with UNAVAILABLE.
  void Stop();

  // Makes the worker look at once for what was cancelled, and for what came by way of intake(). A worker that is busy
  // looks before its next step even without this call.
  void Wake();

  // As ReplicaLoop::intake.
  Intake* intake();

  // Refuses newcomers, then waits until all accepted work is done or the deadline (of the system's clock) has
  // passed; true if all is done. Not from a `done`.
  bool Drain(absl::Time deadline);

  const ExecutorInfo& info() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // the worker holds it too
};

}  // namespace petit::engine

#endif  // PETIT_MODELS_ENGINE_REPLICA_H_
