#include "server/security/client_limiter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace petit::serving {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ClientLimiterTest : public testing::Test {
 protected:
  ClientLimiter Make(ClientLimits limits) {
    return ClientLimiter(limits, [this] { return now_; });
  }

  absl::Time now_ = absl::FromUnixSeconds(1000);
};

TEST_F(ClientLimiterTest, WithoutLimitsNothingIsRefusedOrRemembered) {
  ClientLimiter limiter = Make({});
  std::vector<ClientLimiter::Texts> texts;
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(limiter.TakeRequest("a").ok());
    absl::StatusOr<ClientLimiter::Texts> taken = limiter.TakeTexts("a", 1000);
    ASSERT_TRUE(taken.ok());
    texts.push_back(*std::move(taken));
  }
  EXPECT_EQ(limiter.clients(), 0);
}

TEST_F(ClientLimiterTest, ABurstIsSpentAndComesBackWithTime) {
  ClientLimiter limiter = Make({.requests_per_second = 4, .burst = 2, .max_texts_in_flight = {}});
  EXPECT_TRUE(limiter.TakeRequest("a").ok());
  EXPECT_TRUE(limiter.TakeRequest("a").ok());
  const absl::Status refused = limiter.TakeRequest("a");
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("more than 4 requests a second"));
  EXPECT_EQ(RetryAfter(refused), absl::Milliseconds(250));
  now_ += absl::Milliseconds(100);
  EXPECT_EQ(RetryAfter(limiter.TakeRequest("a")), absl::Milliseconds(150));  // the refused cost nothing
  now_ += absl::Milliseconds(150);
  EXPECT_TRUE(limiter.TakeRequest("a").ok());
  EXPECT_FALSE(limiter.TakeRequest("a").ok());
  now_ += absl::Hours(1);  // saves up no more than a burst
  EXPECT_TRUE(limiter.TakeRequest("a").ok());
  EXPECT_TRUE(limiter.TakeRequest("a").ok());
  EXPECT_FALSE(limiter.TakeRequest("a").ok());
}

TEST_F(ClientLimiterTest, EachClientHasItsOwn) {
  ClientLimiter limiter = Make({.requests_per_second = 1, .burst = 1, .max_texts_in_flight = 3});
  EXPECT_TRUE(limiter.TakeRequest("a").ok());
  EXPECT_FALSE(limiter.TakeRequest("a").ok());
  EXPECT_TRUE(limiter.TakeRequest("b").ok());
  const absl::StatusOr<ClientLimiter::Texts> a = limiter.TakeTexts("a", 3);
  EXPECT_TRUE(a.ok());
  EXPECT_FALSE(limiter.TakeTexts("a", 1).ok());
  EXPECT_TRUE(limiter.TakeTexts("b", 1).ok());
}

TEST_F(ClientLimiterTest, AClockThatGoesBackGivesNothing) {
  ClientLimiter limiter = Make({.requests_per_second = 1, .burst = 1, .max_texts_in_flight = {}});
  EXPECT_TRUE(limiter.TakeRequest("a").ok());
  now_ -= absl::Hours(1);
  EXPECT_FALSE(limiter.TakeRequest("a").ok());
  now_ += absl::Hours(1);
  EXPECT_FALSE(limiter.TakeRequest("a").ok());
  now_ += absl::Seconds(1);
  EXPECT_TRUE(limiter.TakeRequest("a").ok());
}

TEST_F(ClientLimiterTest, TextsCountUntilTheyAreGivenBack) {
  ClientLimiter limiter = Make({.requests_per_second = {}, .burst = 1, .max_texts_in_flight = 4});
  absl::StatusOr<ClientLimiter::Texts> three = limiter.TakeTexts("a", 3);
  ASSERT_TRUE(three.ok());
  const absl::Status refused = limiter.TakeTexts("a", 2).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr("3 texts in flight, this request adds 2"), HasSubstr("is 4 (limits.client.max")));
  ClientLimiter::Texts moved = *std::move(three);
  EXPECT_FALSE(limiter.TakeTexts("a", 2).ok());
  moved.Release();
  moved.Release();
  EXPECT_TRUE(limiter.TakeTexts("a", 4).ok());
  EXPECT_EQ(limiter.clients(), 0);  // they went at once
}

TEST_F(ClientLimiterTest, MoreThanMayEverBeIsInvalid) {
  ClientLimiter limiter = Make({.requests_per_second = {}, .burst = 1, .max_texts_in_flight = 4});
  const absl::Status status = limiter.TakeTexts("a", 5).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("send fewer, or stream them"));
}

TEST_F(ClientLimiterTest, TheIdleAreForgotten) {
  ClientLimiter limiter = Make({.requests_per_second = 10, .burst = 1, .max_texts_in_flight = 1});
  const absl::StatusOr<ClientLimiter::Texts> busy = limiter.TakeTexts("busy", 1);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(limiter.TakeRequest("client" + std::to_string(i)).ok());
    now_ += absl::Seconds(1);
  }
  EXPECT_LE(limiter.clients(), 256);
  EXPECT_FALSE(limiter.TakeTexts("busy", 1).ok());
}

TEST_F(ClientLimiterTest, MoreClientsThanItCanRememberShareOneAllowance) {
  ClientLimiter limiter = Make({.requests_per_second = 1, .burst = 1, .max_texts_in_flight = 1});
  for (std::size_t i = 0; i < ClientLimiter::kMaxClients; ++i) {
    ASSERT_TRUE(limiter.TakeRequest("client" + std::to_string(i)).ok());
  }
  EXPECT_TRUE(limiter.TakeRequest("one too many").ok());
  EXPECT_FALSE(limiter.TakeRequest("two too many").ok());
  EXPECT_EQ(limiter.clients(), ClientLimiter::kMaxClients + 1);
  absl::StatusOr<ClientLimiter::Texts> texts = limiter.TakeTexts("one too many", 1);
  EXPECT_TRUE(texts.ok());
  EXPECT_FALSE(limiter.TakeTexts("two too many", 1).ok());
  texts->Release();
  EXPECT_TRUE(limiter.TakeTexts("two too many", 1).ok());
  now_ += absl::Hours(1);
  EXPECT_TRUE(limiter.TakeRequest("two too many").ok());
  EXPECT_EQ(limiter.clients(), 1);
}

}  // namespace
}  // namespace petit::serving
