// How long to wait before the next attempt.
#ifndef PETIT_CLIENT_LIB_BACKOFF_H_
#define PETIT_CLIENT_LIB_BACKOFF_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/lib/client.h"

namespace petit::client {

// The wait after the `failures`-th failure in a row (from 1): the exponential backoff or the status' RetryInfo,
// whichever is longer, stretched by up to a quarter. `random` in [0, 1).
absl::Duration WaitAfter(const RetryPolicy& policy, int failures, const absl::Status& status, double random);

// The same with a random number of its own. Thread-safe.
absl::Duration WaitAfter(const RetryPolicy& policy, int failures, const absl::Status& status);

}  // namespace petit::client

#endif  // PETIT_CLIENT_LIB_BACKOFF_H_
