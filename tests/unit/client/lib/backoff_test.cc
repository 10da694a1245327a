#include "client/lib/backoff.h"

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"

namespace petit::client {
namespace {

absl::Status Busy(absl::Duration delay) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(absl::ToInt64Seconds(delay));
  info.mutable_retry_delay()->set_nanos(static_cast<int>(absl::ToInt64Nanoseconds(delay % absl::Seconds(1))));
  absl::Status status = absl::ResourceExhaustedError("the queue is full");
  status.SetPayload("type.googleapis.com/google.rpc.RetryInfo", absl::Cord(info.SerializeAsString()));
  return status;
}

TEST(Backoff, GrowsUpToItsMaximum) {
  const RetryPolicy policy{.initial_backoff = absl::Milliseconds(100), .max_backoff = absl::Seconds(1)};
  const absl::Status status = absl::UnavailableError("");
  EXPECT_EQ(WaitAfter(policy, 1, status, 0), absl::Milliseconds(100));
  EXPECT_EQ(WaitAfter(policy, 2, status, 0), absl::Milliseconds(200));
  EXPECT_EQ(WaitAfter(policy, 4, status, 0), absl::Milliseconds(800));
  EXPECT_EQ(WaitAfter(policy, 5, status, 0), absl::Seconds(1));
  EXPECT_EQ(WaitAfter(policy, 1000, status, 0), absl::Seconds(1));
}

TEST(Backoff, NeverComesBackBeforeTheServersDelay) {
  const RetryPolicy policy;
  EXPECT_EQ(WaitAfter(policy, 1, Busy(absl::Milliseconds(2500)), 0), absl::Milliseconds(2500));
  EXPECT_GE(WaitAfter(policy, 1, Busy(absl::Milliseconds(2500)), 0.9), absl::Milliseconds(2500));
  EXPECT_EQ(WaitAfter(policy, 1, Busy(absl::Milliseconds(1)), 0), policy.initial_backoff);
}

TEST(Backoff, SpreadsByAQuarterAtMost) {
  const RetryPolicy policy;
  for (int i = 0; i < 100; ++i) {
    const absl::Duration wait = WaitAfter(policy, 1, absl::UnavailableError(""));
    EXPECT_GE(wait, policy.initial_backoff);
    EXPECT_LE(wait, policy.initial_backoff * 1.25);
  }
}

TEST(RetryDelay, IsAbsentWhereTheServerGaveNone) {
  EXPECT_EQ(RetryDelay(absl::UnavailableError("loading")), std::nullopt);
  absl::Status broken = absl::UnavailableError("loading");
  broken.SetPayload("type.googleapis.com/google.rpc.RetryInfo", absl::Cord("\xff\xff"));
  EXPECT_EQ(RetryDelay(broken), std::nullopt);
  EXPECT_EQ(RetryDelay(Busy(absl::Milliseconds(1500))), absl::Milliseconds(1500));
}

}  // namespace
}  // namespace petit::client
