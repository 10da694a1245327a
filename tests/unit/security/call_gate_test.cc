#include "server/security/call_gate.h"

#include <memory>

#include "gtest/gtest.h"

namespace petit::serving {
namespace {

class CallGateTest : public testing::Test {
 protected:
  bool Open(CallGate::Connection connection) { return gate_.Open(connection, now_); }

  const int a_ = 0;
  const int b_ = 0;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  CallGate gate_{2};
};

TEST_F(CallGateTest, EachConnectionHasSoManyCalls) {
  EXPECT_TRUE(Open(&a_));
  EXPECT_TRUE(Open(&a_));
  EXPECT_FALSE(Open(&a_));
  EXPECT_TRUE(Open(&b_));
}

TEST_F(CallGateTest, ACallCountsUntilItsEndHoweverLate) {
  EXPECT_TRUE(Open(&a_));
  auto first = std::make_unique<CallGate::Passed>(&gate_, &a_);
  EXPECT_TRUE(Open(&a_));
  const CallGate::Passed second(&gate_, &a_);
  EXPECT_FALSE(Open(&a_));
  now_ += absl::Hours(1);
  EXPECT_FALSE(Open(&a_));
  first.reset();
  EXPECT_TRUE(Open(&a_));
  EXPECT_FALSE(Open(&a_));
}

TEST_F(CallGateTest, CallsThatEndAreWithoutNumber) {
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(Open(&a_));
    const CallGate::Passed passed(&gate_, &a_);
  }
}

TEST_F(CallGateTest, WhatNeverPassesIsForgottenAfterASecond) {
  EXPECT_TRUE(Open(&a_));
  EXPECT_TRUE(Open(&a_));
  now_ += absl::Milliseconds(999);
  EXPECT_FALSE(Open(&a_));
  now_ += absl::Milliseconds(1);
  EXPECT_TRUE(Open(&a_));
  EXPECT_TRUE(Open(&a_));
  EXPECT_FALSE(Open(&a_));
}

TEST_F(CallGateTest, ItKnowsHowManyAreOpenOverAllConnections) {
  EXPECT_EQ(gate_.passed(), 0);
  const CallGate::Passed first(&gate_, &a_);
  {
    const CallGate::Passed second(&gate_, &b_);
    EXPECT_EQ(gate_.passed(), 2);
  }
  EXPECT_EQ(gate_.passed(), 1);
}

}  // namespace
}  // namespace petit::serving
