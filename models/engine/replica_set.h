// The replicas of one model: side by side, each with a batch and a queue of its own.
#ifndef PETIT_MODELS_ENGINE_REPLICA_SET_H_
#define PETIT_MODELS_ENGINE_REPLICA_SET_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "models/engine/replica.h"

namespace petit::engine {

// Gives what is submitted to the replicas that have the least work and room for it. A `done` is called from the worker
// of the replica that it went to: those of one request may run at the same time.
class ReplicaSet {
 public:
  // At least one, all of one model and with the same limits.
  explicit ReplicaSet(std::vector<std::unique_ptr<Replica>> replicas);
  explicit ReplicaSet(std::unique_ptr<Replica> replica);
  // As ~Replica, for all at the same time. A `done` may destroy its set, as it may its replica; it then waits for the
  // other replicas' `done`s.
  ~ReplicaSet();
  ReplicaSet(const ReplicaSet&) = delete;
  ReplicaSet& operator=(const ReplicaSet&) = delete;

  std::size_t size() const { return replicas_.size(); }
  Replica& replica(std::size_t index) { return *replicas_[index]; }
  const ExecutorInfo& info() const { return replicas_.front()->info(); }

  // As the methods of Replica; from any thread. A request of several sequences is shared out so that each replica has
  // about as many rows as the others; all of them are taken, or none.
  absl::Status Submit(SequenceRequest request);
  absl::Status Submit(std::vector<SequenceRequest> requests);
  absl::Status SubmitScore(ScoreRequest request);
  void NotifyCancelled();
  bool Drain(absl::Time deadline);

 private:
  void WakeChosen(const std::vector<bool>& chosen);

  std::vector<std::unique_ptr<Replica>> replicas_;
  std::vector<Intake*> intakes_;  // theirs, in their order
};

}  // namespace petit::engine

#endif  // PETIT_MODELS_ENGINE_REPLICA_SET_H_
