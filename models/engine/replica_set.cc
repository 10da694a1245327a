#include "models/engine/replica_set.h"

#include <utility>

#include "models/engine/intake.h"

namespace petit::engine {
namespace {

std::vector<std::unique_ptr<Replica>> Alone(std::unique_ptr<Replica> replica) {
  std::vector<std::unique_ptr<Replica>> one;
  one.push_back(std::move(replica));
  return one;
}

}  // namespace

ReplicaSet::ReplicaSet(std::vector<std::unique_ptr<Replica>> replicas) : replicas_(std::move(replicas)) {
  for (const auto& replica : replicas_) intakes_.push_back(replica->intake());
}

ReplicaSet::ReplicaSet(std::unique_ptr<Replica> replica) : ReplicaSet(Alone(std::move(replica))) {}

ReplicaSet::~ReplicaSet() {
  for (const auto& replica : replicas_) replica->Stop();  // all, before any is waited for
}

absl::Status ReplicaSet::Submit(SequenceRequest request) {
  std::vector<SequenceRequest> one;
  one.push_back(std::move(request));
  return Submit(std::move(one));
}

absl::Status ReplicaSet::Submit(std::vector<SequenceRequest> requests) {
  std::vector<bool> chosen;
  absl::Status status = Intake::Add(intakes_, std::move(requests), &chosen);
  WakeChosen(chosen);
  return status;
}

absl::Status ReplicaSet::SubmitScore(ScoreRequest request) {
  std::vector<bool> chosen;
  absl::Status status = Intake::AddScore(intakes_, std::move(request), &chosen);
  WakeChosen(chosen);
  return status;
}

void ReplicaSet::WakeChosen(const std::vector<bool>& chosen) {
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (chosen[i]) replicas_[i]->Wake();
  }
}

void ReplicaSet::NotifyCancelled() {
  for (const auto& replica : replicas_) replica->Wake();
}

bool ReplicaSet::Drain(absl::Time deadline) {
  // None may take what another one has refused.
  for (const auto& replica : replicas_) replica->Drain(absl::InfinitePast());
  bool done = true;
  for (const auto& replica : replicas_) done = replica->Drain(deadline) && done;
  return done;
}

}  // namespace petit::engine
