#include "client/load/histogram.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace petit::load {
namespace {

absl::Duration Exact(std::vector<std::int64_t> microseconds, double share) {
  std::sort(microseconds.begin(), microseconds.end());
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(microseconds.size())));
  return absl::Microseconds(microseconds[rank - 1]);
}

TEST(Histogram, QuantilesAreWithinTheirBoundOfTheExactOnes) {
  std::mt19937_64 random(7);
  for (const double spread : {0.1, 1.0, 3.0}) {
    std::lognormal_distribution<double> distribution(10, spread);  // around 22 ms
    std::vector<std::int64_t> values;
    Histogram histogram;
    for (int i = 0; i < 20000; ++i) {
      values.push_back(static_cast<std::int64_t>(distribution(random)));
      histogram.Add(absl::Microseconds(values.back()));
    }
    for (const double share : {0.001, 0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0}) {
      const double exact = absl::ToDoubleMicroseconds(Exact(values, share));
      const double bound = std::max(0.5, exact / 256);
      EXPECT_NEAR(absl::ToDoubleMicroseconds(histogram.Quantile(share)), exact, bound) << share << " of " << spread;
    }
    EXPECT_EQ(histogram.Max(), Exact(values, 1.0));
    const double sum = std::accumulate(values.begin(), values.end(), 0.0);
    EXPECT_NEAR(absl::ToDoubleMicroseconds(histogram.Mean()), sum / 20000, 1e-3);
  }
}

TEST(Histogram, EveryValueIsWithinTheBoundOfItsBucket) {
  for (std::int64_t value = 1; value < (std::int64_t{1} << 40); value += 1 + value / 97) {
    Histogram histogram;
    histogram.Add(absl::Microseconds(value));
    histogram.Add(absl::Microseconds(value) * 4);  // so that the value itself is no bound of what is told
    histogram.Add(absl::ZeroDuration());
    const double told = absl::ToDoubleMicroseconds(histogram.Quantile(0.6));
    ASSERT_NEAR(told, static_cast<double>(value), std::max(0.5, static_cast<double>(value) / 256));
  }
}

TEST(Histogram, SmallNumbersFollowTheNearestRank) {
  Histogram histogram;
  EXPECT_EQ(histogram.Quantile(0.99), absl::ZeroDuration());
  for (const int value : {10, 20, 30, 40}) histogram.Add(absl::Microseconds(value));
  EXPECT_EQ(histogram.Quantile(0.25), absl::Microseconds(10));
  EXPECT_EQ(histogram.Quantile(0.26), absl::Microseconds(20));
  EXPECT_EQ(histogram.Quantile(0.5), absl::Microseconds(20));
  EXPECT_EQ(histogram.Quantile(0.99), absl::Microseconds(40));
}

TEST(Histogram, TakesWhatIsOutOfItsRangeToItsEnds) {
  Histogram histogram;
  histogram.Add(absl::Seconds(-1));
  EXPECT_EQ(histogram.Max(), absl::ZeroDuration());
  histogram.Add(absl::InfiniteDuration());
  EXPECT_EQ(histogram.Max(), absl::Microseconds(std::int64_t{1} << 40));
  EXPECT_EQ(histogram.count(), 2);
}

TEST(Histogram, MergingIsAddingAll) {
  Histogram a;
  Histogram b;
  Histogram both;
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration value = absl::Microseconds(i * i);
    (i % 3 == 0 ? a : b).Add(value);
    both.Add(value);
  }
  a.Merge(b);
  a.Merge(Histogram());
  EXPECT_EQ(a.count(), both.count());
  EXPECT_EQ(a.Max(), both.Max());
  EXPECT_EQ(a.Mean(), both.Mean());
  for (const double share : {0.01, 0.5, 0.99}) EXPECT_EQ(a.Quantile(share), both.Quantile(share));
}

TEST(Histogram, BinsHoldEveryCountOnce) {
  Histogram histogram;
  EXPECT_TRUE(histogram.LogBins().edges.empty());
  for (int i = 1; i <= 500; ++i) histogram.Add(absl::Milliseconds(i));
  const Histogram::Bins bins = histogram.LogBins();
  ASSERT_EQ(bins.edges.size(), bins.counts.size() + 1);
  EXPECT_EQ(std::accumulate(bins.counts.begin(), bins.counts.end(), std::int64_t{0}), 500);
  EXPECT_LE(bins.edges.front(), 0.001 * (1 + 1e-9));
  EXPECT_GE(bins.edges.back(), 0.5);
  EXPECT_GT(bins.counts.front(), 0);
  EXPECT_GT(bins.counts.back(), 0);
}

}  // namespace
}  // namespace petit::load
