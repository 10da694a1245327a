#include "client/lib/backoff.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace petit::client {

absl::Duration WaitAfter(const RetryPolicy& policy, int failures, const absl::Status& status, double random) {
  const double factor = std::pow(policy.multiplier, std::max(0, failures - 1));
  const absl::Duration backoff = std::min(policy.max_backoff, policy.initial_backoff * factor);
  // Stretched, never shortened: the server's delay is a minimum. The spread keeps clients from returning together.
  return std::max(backoff, RetryDelay(status).value_or(absl::ZeroDuration())) * (1 + random / 4);
}

absl::Duration WaitAfter(const RetryPolicy& policy, int failures, const absl::Status& status) {
  thread_local std::minstd_rand generator{std::random_device{}()};
  return WaitAfter(policy, failures, status, std::uniform_real_distribution<double>(0, 1)(generator));
}

}  // namespace petit::client
