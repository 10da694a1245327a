#include "models/engine/replica_set.h"

#include <utility>

namespace petit::engine {
namespace {

std::vector<std::unique_ptr<Replica>> Alone(std::unique_ptr<Replica> replica) {
  std::vector<std::unique_ptr<Replica>> one;
  one.push_back(std::move(replica));
  return one;
}

}  // namespace

ReplicaSet::ReplicaSet(std::vector<std::unique_ptr<Replica>> replicas) : owned_(std::move(replicas)) {
  for (const auto& replica : owned_) replicas_.push_back(replica.get());
}

ReplicaSet::ReplicaSet(std::unique_ptr<Replica> replica) : ReplicaSet(Alone(std::move(replica))) {}

ReplicaSet::~ReplicaSet() {
  for (Replica* replica : replicas_) replica->Stop();  // all, before any is waited for
}

absl::Status ReplicaSet::Submit(SequenceRequest request) {
  std::vector<SequenceRequest> one;
  one.push_back(std::move(request));
  return Submit(std::move(one));
}

absl::Status ReplicaSet::Submit(std::vector<SequenceRequest> requests) {
  return Replica::Submit(replicas_, std::move(requests));
}

absl::Status ReplicaSet::SubmitScore(ScoreRequest request) {
  return Replica::SubmitScore(replicas_, std::move(request));
}

void ReplicaSet::NotifyCancelled() {
  for (Replica* replica : replicas_) replica->NotifyCancelled();
}

bool ReplicaSet::Drain(absl::Time deadline) {
  // None may take what another one has refused.
  for (Replica* replica : replicas_) replica->Drain(absl::InfinitePast());
  bool done = true;
  for (Replica* replica : replicas_) done = replica->Drain(deadline) && done;
  return done;
}

}  // namespace petit::engine
