#include "models/engine/replica_set.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace petit::engine {
namespace {

std::vector<std::unique_ptr<Replica>> Alone(std::unique_ptr<Replica> replica) {
  std::vector<std::unique_ptr<Replica>> one;
  one.push_back(std::move(replica));
  return one;
}

}  // namespace

ReplicaSet::ReplicaSet(std::vector<std::unique_ptr<Replica>> replicas) : replicas_(std::move(replicas)) {}

ReplicaSet::ReplicaSet(std::unique_ptr<Replica> replica) : ReplicaSet(Alone(std::move(replica))) {}

absl::Status ReplicaSet::Submit(SequenceRequest request) {
  std::vector<SequenceRequest> one;
  one.push_back(std::move(request));
  return Submit(std::move(one));
}

absl::Status ReplicaSet::Submit(std::vector<SequenceRequest> requests) {
  if (replicas_.size() == 1) return replicas_[0]->Submit(std::move(requests));
  std::vector<std::int64_t> work;
  work.reserve(replicas_.size());
  for (const auto& replica : replicas_) work.push_back(replica->work());
  std::vector<Share> shares(replicas_.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto least = std::min_element(work.begin(), work.end());
    *least += decoding::MaxRows(requests[i].options);
    Share& share = shares[least - work.begin()];
    share.places.push_back(i);
    share.requests.push_back(std::move(requests[i]));
  }
  std::vector<Replica*> chosen;
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    if (!shares[i].requests.empty()) chosen.push_back(replicas_[i].get());
  }
  std::erase_if(shares, [](const Share& share) { return share.requests.empty(); });
  return Replica::SubmitTogether(chosen, std::move(shares));
}

absl::Status ReplicaSet::SubmitScore(ScoreRequest request) {
  const auto least = std::min_element(replicas_.begin(), replicas_.end(),
                                      [](const auto& a, const auto& b) { return a->work() < b->work(); });
  return (*least)->SubmitScore(std::move(request));
}

void ReplicaSet::NotifyCancelled() {
  for (const auto& replica : replicas_) replica->NotifyCancelled();
}

bool ReplicaSet::Drain(absl::Time deadline) {
  // None may take what another one has refused.
  for (const auto& replica : replicas_) replica->Drain(absl::InfinitePast());
  bool done = true;
  for (const auto& replica : replicas_) done = replica->Drain(deadline) && done;
  return done;
}

}  // namespace petit::engine
