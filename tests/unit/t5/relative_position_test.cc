#include "models/t5/relative_position.h"

#include <climits>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace petit::t5 {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

nlohmann::json ReadGolden() {
  std::ifstream file(std::string(PETIT_SOURCE_DIR) + "/tests/data/t5/relative_position.json");
  return nlohmann::json::parse(file);
}

TEST(RelativePositionTest, EqualsHuggingFaceBucketByBucket) {
  const nlohmann::json golden = ReadGolden();
  ASSERT_EQ(golden["cases"].size(), 4u);
  for (const auto& entry : golden["cases"]) {
    const bool bidirectional = entry["bidirectional"];
    const int num_buckets = entry["num_buckets"];
    const int max_distance = entry["max_distance"];
    const int first = golden["first"];
    const std::vector<int> expected = entry["buckets"];
    ASSERT_EQ(expected.size(), 601u);
    for (int i = 0; i < static_cast<int>(expected.size()); ++i) {
      EXPECT_EQ(RelativePositionBucket(first + i, bidirectional, num_buckets, max_distance), expected[i])
          << "relative " << first + i << ", bidirectional " << bidirectional << ", buckets " << num_buckets;
    }
  }
}

// At powers of two the logarithm's quotient is an exact integer: one ulp too low picks the bucket before.
TEST(RelativePositionTest, LargeBucketsBeginWhereTheyDoInT5) {
  const std::pair<int, int> encoder[] = {{8, 8}, {12, 9}, {16, 10}, {23, 11}, {32, 12}, {46, 13}, {64, 14}, {91, 15}};
  for (const auto& [distance, bucket] : encoder) {
    EXPECT_EQ(RelativePositionBucket(-distance, true, 32, 128), bucket);
    EXPECT_EQ(RelativePositionBucket(distance, true, 32, 128), bucket + 16);
    EXPECT_EQ(RelativePositionBucket(-(distance - 1), true, 32, 128), bucket - 1);
  }
  const std::pair<int, int> decoder[] = {{16, 16}, {19, 17}, {21, 18}, {24, 19}, {27, 20}, {31, 21},
                                         {35, 22}, {40, 23}, {46, 24}, {52, 25}, {59, 26}, {67, 27},
                                         {77, 28}, {87, 29}, {99, 30}, {113, 31}};
  for (const auto& [distance, bucket] : decoder) {
    EXPECT_EQ(RelativePositionBucket(-distance, false, 32, 128), bucket);
    EXPECT_EQ(RelativePositionBucket(-(distance - 1), false, 32, 128), bucket - 1);
  }
}

TEST(RelativePositionTest, DecoderPutsEveryKeyToTheRightIntoBucketZero) {
  for (const int relative : {0, 1, 17, 300, INT_MAX}) EXPECT_EQ(RelativePositionBucket(relative, false, 32, 128), 0);
}

TEST(RelativePositionTest, FarthestPositionsStayInTheLastBucket) {
  EXPECT_EQ(RelativePositionBucket(INT_MIN, true, 32, 128), 15);
  EXPECT_EQ(RelativePositionBucket(INT_MAX, true, 32, 128), 31);
  EXPECT_EQ(RelativePositionBucket(INT_MIN, false, 32, 128), 31);
}

TEST(RelativePositionTest, EveryBucketIsInRangeForAnyNumberOfBuckets) {
  for (int num_buckets = 4; num_buckets <= 40; ++num_buckets) {
    for (const int max_distance : {num_buckets / 2 + 1, 64, 1 << 20}) {
      for (const bool bidirectional : {true, false}) {
        for (int relative = -200; relative <= 200; ++relative) {
          const int bucket = RelativePositionBucket(relative, bidirectional, num_buckets, max_distance);
          ASSERT_GE(bucket, 0);
          ASSERT_LT(bucket, num_buckets);
        }
      }
    }
  }
}

TEST(RelativePositionTest, TableCoversBothSidesInOrder) {
  EXPECT_THAT(RelativePositionBuckets(3, true, 32, 128), ElementsAre(2, 1, 0, 17, 18));
  EXPECT_THAT(RelativePositionBuckets(3, false, 32, 128), ElementsAre(2, 1, 0, 0, 0));
  EXPECT_THAT(RelativePositionBuckets(1, true, 32, 128), ElementsAre(0));
  EXPECT_THAT(RelativePositionBuckets(0, true, 32, 128), IsEmpty());
}

}  // namespace
}  // namespace petit::t5
