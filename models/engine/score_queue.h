// Pairs that wait to be scored, on the worker's side, and the chunks they are scored in.
#ifndef PETIT_MODELS_ENGINE_SCORE_QUEUE_H_
#define PETIT_MODELS_ENGINE_SCORE_QUEUE_H_

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "models/engine/executor.h"
#include "models/engine/intake.h"
#include "models/engine/replica.h"

namespace petit::engine {

// One pair of each flow in turn, first come, first served within a flow. Used by the worker alone.
class ScoreQueue {
 public:
  // All three must outlive the queue. `intake` is told of every pair that leaves.
  ScoreQueue(Executor* executor, const ReplicaOptions& options, Intake* intake)
      : executor_(executor), options_(options), intake_(intake) {}

  // Where Intake::Take puts newcomers.
  std::vector<std::unique_ptr<QueuedScore>>* pairs() { return &pairs_; }
  bool empty() const { return pairs_.empty(); }

  // Answers the cancelled and the expired; false if there were none.
  bool DropLate();

  // Scores the next pairs that fit into max_score_tokens_per_chunk together (a bigger one alone) and answers them.
  // Where several fail together each is tried alone, so that one bad pair does not lose the others. Returns the
  // time the executor took; zero with an empty queue.
  absl::Duration ScoreChunk();

  void FailAll(const absl::Status& status);

 private:
  // Removes the pairs at these places.
  std::vector<std::unique_ptr<QueuedScore>> Take(absl::Span<const int> indices);
  absl::StatusOr<std::vector<ScoreResult>> Score(absl::Span<const std::unique_ptr<QueuedScore>> pairs);

  Executor* executor_;
  const ReplicaOptions& options_;
  Intake* intake_;
  std::vector<std::unique_ptr<QueuedScore>> pairs_;
  Flow last_flow_ = 0;
};

}  // namespace petit::engine

#endif  // PETIT_MODELS_ENGINE_SCORE_QUEUE_H_
