#include "server/security/call_gate.h"

namespace petit::serving {
namespace {

constexpr absl::Duration kPeriod = absl::Seconds(1);

}  // namespace

bool CallGate::Open(Connection connection, absl::Time now) {
  const absl::MutexLock lock(&mutex_);
  if (now - since_ >= kPeriod) {
    since_ = now;
    waiting_.clear();
  }
  const auto passed = passed_.find(connection);
  int& waiting = waiting_[connection];
  if (waiting + (passed == passed_.end() ? 0 : passed->second) >= most_) return false;
  ++waiting;
  return true;
}

int CallGate::passed() const {
  const absl::MutexLock lock(&mutex_);
  return all_passed_;
}

void CallGate::Pass(Connection connection) {
  const absl::MutexLock lock(&mutex_);
  ++all_passed_;
  ++passed_[connection];
  const auto waiting = waiting_.find(connection);
  if (waiting != waiting_.end() && waiting->second > 0) --waiting->second;
}

void CallGate::End(Connection connection) {
  const absl::MutexLock lock(&mutex_);
  --all_passed_;
  const auto passed = passed_.find(connection);
  if (--passed->second == 0) passed_.erase(passed);
}

}  // namespace petit::serving
