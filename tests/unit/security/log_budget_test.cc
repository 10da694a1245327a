#include "server/security/log_budget.h"

#include "gtest/gtest.h"

namespace petit::serving {
namespace {

TEST(LogBudgetTest, SoManyLinesASecondAndTheRestIsCounted) {
  const absl::Time now = absl::FromUnixSeconds(1'000'000);
  LogBudget budget(2);
  EXPECT_EQ(budget.Take(now), 0);
  EXPECT_EQ(budget.Take(now + absl::Milliseconds(500)), 0);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(budget.Take(now + absl::Milliseconds(999)), std::nullopt);
  EXPECT_EQ(budget.Take(now + absl::Seconds(1)), 5);
  EXPECT_EQ(budget.Take(now + absl::Seconds(1)), 0);
  EXPECT_EQ(budget.Take(now + absl::Seconds(1)), std::nullopt);
}

}  // namespace
}  // namespace petit::serving
