#include "server/rpc/byte_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace petit::serving {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ByteBudgetTest : public testing::Test {
 protected:
  // Acquires under a name, which appears in `granted` once there are the bytes.
  ByteBudget::Ticket Acquire(const std::string& name, std::int64_t bytes) {
    const absl::StatusOr<ByteBudget::Ticket> ticket = budget.Acquire(bytes, [this, name](ByteBudget::Lease lease) {
      granted.push_back(name);
      leases[name] = std::move(lease);
    });
    EXPECT_TRUE(ticket.ok()) << ticket.status();
    return ticket.value_or(0);
  }

  ByteBudget budget{100};
  std::vector<std::string> granted;
  std::map<std::string, ByteBudget::Lease> leases;
};

TEST_F(ByteBudgetTest, GrantsAtOnceWhatIsThere) {
  Acquire("a", 60);
  Acquire("b", 40);
  EXPECT_THAT(granted, ElementsAre("a", "b"));
  EXPECT_EQ(budget.available(), 0);
}

TEST_F(ByteBudgetTest, GrantsInTheOrderOfAskingEvenWhereALaterOneWouldFit) {
  Acquire("a", 60);
  Acquire("large", 80);
  Acquire("small", 10);
  EXPECT_THAT(granted, ElementsAre("a"));
  leases["a"].Release();
  EXPECT_THAT(granted, ElementsAre("a", "large", "small"));
  EXPECT_EQ(budget.available(), 10);
}

TEST_F(ByteBudgetTest, BytesComeBackWithTheLeaseWhoeverHoldsIt) {
  Acquire("a", 100);
  {
    const ByteBudget::Lease moved = std::move(leases["a"]);
    EXPECT_TRUE(moved.held());
    EXPECT_FALSE(leases["a"].held());
    EXPECT_EQ(budget.available(), 0);
  }
  EXPECT_EQ(budget.available(), 100);
}

TEST_F(ByteBudgetTest, ReleasingTwiceGivesBackOnce) {
  Acquire("a", 30);
  leases["a"].Release();
  leases["a"].Release();
  EXPECT_EQ(budget.available(), 100);
}

TEST_F(ByteBudgetTest, ACancelledWaiterIsNeverGrantedAndLetsOthersPass) {
  Acquire("a", 60);
  const ByteBudget::Ticket large = Acquire("large", 80);
  Acquire("small", 10);
  EXPECT_TRUE(budget.Cancel(large));
  EXPECT_THAT(granted, ElementsAre("a", "small"));
  EXPECT_FALSE(budget.Cancel(large));
  EXPECT_EQ(budget.waiting(), 0);
}

TEST_F(ByteBudgetTest, WhatWasGrantedCannotBeCancelled) { EXPECT_FALSE(budget.Cancel(Acquire("a", 1))); }

TEST_F(ByteBudgetTest, MoreThanTheWholeBudgetIsAnErrorThatNamesIt) {
  const absl::StatusOr<ByteBudget::Ticket> ticket = budget.Acquire(101, [](ByteBudget::Lease) { FAIL(); });
  EXPECT_EQ(ticket.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(ticket.status().message()), HasSubstr("100"));
  EXPECT_FALSE(budget.Acquire(-1, [](ByteBudget::Lease) { FAIL(); }).ok());
}

TEST(ByteBudgetThreadsTest, ManyThreadsNeverExceedTheBudgetAndAllGetTheirTurn) {
  ByteBudget budget(10);
  std::atomic<int> held = 0;
  std::atomic<int> grants = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        const std::int64_t bytes = 1 + i % 7;
        ASSERT_TRUE(budget
                        .Acquire(bytes,
                                 [&, bytes](ByteBudget::Lease lease) {
                                   EXPECT_LE(held += static_cast<int>(bytes), 10);
                                   ++grants;
                                   held -= static_cast<int>(bytes);
                                   lease.Release();
                                 })
                        .ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(grants, 800);
  EXPECT_EQ(budget.available(), 10);
}

}  // namespace
}  // namespace petit::serving
