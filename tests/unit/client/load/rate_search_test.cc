#include "client/load/rate_search.h"

#include <vector>

#include "gtest/gtest.h"

namespace petit::load {
namespace {

// All rates tried against a server that holds up to `capacity`.
std::vector<double> Search(RateSearch& search, double capacity) {
  std::vector<double> tried;
  while (const std::optional<double> rate = search.Next()) {
    tried.push_back(*rate);
    search.Report(*rate <= capacity);
  }
  return tried;
}

TEST(RateSearch, DoublesThenBisectsToFivePercent) {
  for (const double capacity : {11.0, 37.0, 100.0, 12345.0}) {
    RateSearch search(10);
    const std::vector<double> tried = Search(search, capacity);
    ASSERT_TRUE(search.best() && search.broken());
    EXPECT_LE(*search.best(), capacity);
    EXPECT_GT(*search.broken(), capacity);
    EXPECT_LE(*search.broken(), 1.05 * *search.best());
    EXPECT_EQ(tried[0], 10);
    EXPECT_EQ(tried[1], 20);
    EXPECT_LE(tried.size(), 20);
  }
}

TEST(RateSearch, HalvesFirstWhereTheStartIsTooHigh) {
  RateSearch search(1000);
  const std::vector<double> tried = Search(search, 37);
  EXPECT_EQ(tried[1], 500);
  EXPECT_LE(*search.best(), 37);
  EXPECT_GE(*search.best(), 37 / 1.05);
}

TEST(RateSearch, GivesUpWhereNothingHolds) {
  RateSearch search(1024);
  const std::vector<double> tried = Search(search, 0.5);
  EXPECT_EQ(search.best(), std::nullopt);
  EXPECT_EQ(search.broken(), 1);
  EXPECT_EQ(tried.back(), 1);
}

TEST(RateSearch, EndsWhereEverythingHolds) {
  RateSearch search(1);
  Search(search, 1e300);
  EXPECT_EQ(search.best(), 1 << 20);
  EXPECT_EQ(search.broken(), std::nullopt);
}

}  // namespace
}  // namespace petit::load
