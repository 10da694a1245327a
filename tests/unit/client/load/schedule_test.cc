#include "client/load/schedule.h"

#include <cmath>
#include <map>
#include <vector>

#include "gtest/gtest.h"

namespace petit::load {
namespace {

std::vector<double> Moments(const Phase& phase, Arrivals arrivals, std::uint64_t seed = 1) {
  Schedule schedule(phase, arrivals, seed);
  std::vector<double> moments;
  while (const std::optional<absl::Duration> moment = schedule.Next())
    moments.push_back(absl::ToDoubleSeconds(*moment));
  return moments;
}

Phase Steady(double rate, double seconds) {
  return {.rate = rate, .rate_to = rate, .duration = absl::Seconds(seconds)};
}

TEST(Schedule, ConstantArrivalsAreEvenlySpacedFromTheStart) {
  const std::vector<double> moments = Moments(Steady(4, 2), Arrivals::kConstant);
  ASSERT_EQ(moments.size(), 8);
  for (std::size_t i = 0; i < moments.size(); ++i) EXPECT_NEAR(moments[i], 0.25 * static_cast<double>(i), 1e-9);
}

TEST(Schedule, PoissonGapsHaveTheMeanAndTheSpreadOfAnExponential) {
  const std::vector<double> moments = Moments(Steady(100, 1000), Arrivals::kPoisson);
  const auto count = static_cast<double>(moments.size());
  EXPECT_NEAR(count, 1e5, 4 * std::sqrt(1e5));
  double sum = 0;
  double squares = 0;
  double long_gaps = 0;
  for (std::size_t i = 1; i < moments.size(); ++i) {
    const double gap = moments[i] - moments[i - 1];
    ASSERT_GE(gap, 0);
    sum += gap;
    squares += gap * gap;
    long_gaps += gap > 0.02 ? 1 : 0;
  }
  const double mean = sum / count;
  EXPECT_NEAR(std::sqrt(squares / count - mean * mean) / mean, 1, 0.02);
  EXPECT_NEAR(long_gaps / count, std::exp(-2), 0.005);
}

TEST(Schedule, TheSeedDecidesPoissonArrivals) {
  EXPECT_EQ(Moments(Steady(50, 10), Arrivals::kPoisson, 3), Moments(Steady(50, 10), Arrivals::kPoisson, 3));
  EXPECT_NE(Moments(Steady(50, 10), Arrivals::kPoisson, 3), Moments(Steady(50, 10), Arrivals::kPoisson, 4));
}

// How many arrive in [from, to).
std::int64_t Count(const std::vector<double>& moments, double from, double to) {
  std::int64_t count = 0;
  for (const double moment : moments) count += moment >= from && moment < to ? 1 : 0;
  return count;
}

TEST(Schedule, ARampFollowsTheIntegralOfItsRateAfterTheWarmUp) {
  for (const auto& [from, to] : {std::pair{10.0, 90.0}, std::pair{90.0, 10.0}}) {
    const Phase ramp{.rate = from, .rate_to = to, .warmup = absl::Seconds(5), .duration = absl::Seconds(40)};
    const std::vector<double> moments = Moments(ramp, Arrivals::kConstant);
    EXPECT_NEAR(static_cast<double>(Count(moments, 0, 5)), 5 * from, 1.01);
    for (int second = 0; second < 40; second += 10) {
      const double expected = 10 * (from + (to - from) * (second + 5) / 40);
      EXPECT_NEAR(static_cast<double>(Count(moments, 5 + second, 15 + second)), expected, 1.01) << second;
    }
    EXPECT_EQ(Count(moments, 45, 1e9), 0);
    const std::vector<double> poisson = Moments(ramp, Arrivals::kPoisson);
    EXPECT_NEAR(static_cast<double>(poisson.size()), 5 * from + 2000, 4 * std::sqrt(5 * from + 2000));
  }
}

TEST(Mix, WithPoissonArrivalsDrawsByWeight) {
  Mix mix({{.name = "a"}, {.name = "b", .weight = 3}}, Arrivals::kPoisson, 5);
  double b = 0;
  int together = 0;
  std::size_t last = 0;
  for (int i = 0; i < 40000; ++i) {
    const std::size_t model = mix.Next();
    b += model == 1 ? 1 : 0;
    together += model == 0 && last == 0 ? 1 : 0;
    last = model;
  }
  EXPECT_NEAR(b / 40000, 0.75, 0.01);
  EXPECT_GT(together, 1000) << "independent draws repeat";
}

TEST(Mix, OtherwiseDividesEvenly) {
  Mix mix({{.name = "a"}, {.name = "b", .weight = 3}}, Arrivals::kConstant, 5);
  for (int round = 0; round < 10; ++round) {
    std::map<std::size_t, int> counts;
    for (int i = 0; i < 4; ++i) ++counts[mix.Next()];
    EXPECT_EQ(counts[0], 1);
    EXPECT_EQ(counts[1], 3);
  }
}

}  // namespace
}  // namespace petit::load
