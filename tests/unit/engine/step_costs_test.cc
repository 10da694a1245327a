#include "models/engine/step_costs.h"

#include <gtest/gtest.h>

namespace petit::engine {
namespace {

TEST(StepCostsTest, NothingIsKnownAtFirst) { EXPECT_EQ(StepCosts().Of(7), absl::ZeroDuration()); }

TEST(StepCostsTest, OfASingleSizeOthersAreInProportion) {
  StepCosts costs;
  costs.Observe(8, absl::Milliseconds(16));
  EXPECT_EQ(costs.Of(8), absl::Milliseconds(16));
  EXPECT_EQ(costs.Of(2), absl::Milliseconds(4));
  EXPECT_EQ(costs.Of(12), absl::Milliseconds(24));
}

TEST(StepCostsTest, BetweenTwoSizesIsALine) {
  StepCosts costs;
  costs.Observe(1, absl::Milliseconds(5));
  costs.Observe(33, absl::Milliseconds(21));
  EXPECT_NEAR(absl::ToDoubleMilliseconds(costs.Of(17)), 13, 1e-9);
  EXPECT_EQ(costs.Of(1), absl::Milliseconds(5));
  EXPECT_NEAR(absl::ToDoubleMilliseconds(costs.Of(66)), 42, 1e-9);
}

TEST(StepCostsTest, SizesOfLikeMagnitudeAreAveraged) {
  StepCosts costs;
  for (int i = 0; i < 200; ++i) costs.Observe(i % 2 == 0 ? 20 : 30, absl::Milliseconds(i % 2 == 0 ? 10 : 14));
  EXPECT_NEAR(absl::ToDoubleMilliseconds(costs.Of(25)), 12, 0.3);
}

TEST(StepCostsTest, TheNewOutweighsTheOld) {
  StepCosts costs;
  for (int i = 0; i < 100; ++i) costs.Observe(4, absl::Milliseconds(10));
  for (int i = 0; i < 100; ++i) costs.Observe(4, absl::Milliseconds(30));
  EXPECT_NEAR(absl::ToDoubleMilliseconds(costs.Of(4)), 30, 1);
}

TEST(StepCostsTest, AClockThatWasSetBackSaysNothing) {
  StepCosts costs;
  costs.Observe(4, absl::Milliseconds(5));
  costs.Observe(4, absl::Milliseconds(-3000));
  costs.Observe(4, absl::ZeroDuration());
  EXPECT_EQ(costs.Of(4), absl::Milliseconds(5));
}

TEST(StepCostsTest, AFirstStepThatMadeItsKernelsIsForgottenAtOnce) {
  StepCosts costs;
  costs.Observe(4, absl::Milliseconds(200));
  costs.Observe(4, absl::Milliseconds(5));
  EXPECT_EQ(costs.Of(4), absl::Milliseconds(5));
}

}  // namespace
}  // namespace petit::engine
