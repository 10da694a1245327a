#include "server/rpc/traffic.h"

namespace petit::serving {

Traffic::Texts::~Texts() {
  const absl::MutexLock lock(&traffic_.mutex_);
  if (state_ == State::kInFlight) AnswerLocked();
}

void Traffic::Texts::Accept() {
  const absl::MutexLock lock(&traffic_.mutex_);
  if (state_ == State::kNew) AcceptLocked();
}

void Traffic::Texts::Answer() {
  const absl::MutexLock lock(&traffic_.mutex_);
  if (state_ == State::kNew) AcceptLocked();
  if (state_ == State::kInFlight) AnswerLocked();
}

void Traffic::Texts::AcceptLocked() {
  state_ = State::kInFlight;
  traffic_.counts_.texts_in_flight += count_;
  traffic_.counts_.texts_accepted += count_;
}

void Traffic::Texts::AnswerLocked() {
  state_ = State::kAnswered;
  traffic_.counts_.texts_in_flight -= count_;
}

void Traffic::BeginPairs(int pairs) {
  const absl::MutexLock lock(&mutex_);
  counts_.pairs_in_flight += pairs;
}

void Traffic::EndPairs(int pairs, int scored) {
  const absl::MutexLock lock(&mutex_);
  counts_.pairs_in_flight -= pairs;
  counts_.pairs_scored += scored;
}

Traffic::Counts Traffic::Now() const {
  const absl::MutexLock lock(&mutex_);
  return counts_;
}

}  // namespace petit::serving
