#include "models/engine/score_share.h"

#include <gtest/gtest.h>

#include <random>

namespace petit::engine {
namespace {

TEST(ScoreShareTest, AnIdleReplicaScoresWithoutBound) {
  ScoreShare share(0.1);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(share.MayScore(false));
    share.OnScored(absl::Seconds(100), false);
  }
  EXPECT_TRUE(share.MayScore(true)) << "time that nobody else wanted makes no debt";
}

TEST(ScoreShareTest, DecodingPaysForAChunkBeforeTheNext) {
  ScoreShare share(0.25);
  EXPECT_TRUE(share.MayScore(true));
  share.OnScored(absl::Milliseconds(10), true);
  share.OnDecoded(absl::Milliseconds(29));
  EXPECT_FALSE(share.MayScore(true));
  share.OnDecoded(absl::Milliseconds(1));
  EXPECT_TRUE(share.MayScore(true));
}

TEST(ScoreShareTest, QuietTimeSavesUpNothing) {
  ScoreShare share(0.5);
  share.OnDecoded(absl::Hours(1));
  share.OnScored(absl::Milliseconds(10), true);
  EXPECT_FALSE(share.MayScore(true));
}

TEST(ScoreShareTest, ShareZeroWaitsForIdleness) {
  ScoreShare share(0);
  share.OnDecoded(absl::Hours(1));
  EXPECT_FALSE(share.MayScore(true));
  EXPECT_TRUE(share.MayScore(false));
}

TEST(ScoreShareTest, ShareOneScoresAfterEveryStep) {
  ScoreShare share(1);
  share.OnScored(absl::Hours(1), true);
  EXPECT_TRUE(share.MayScore(true));
}

TEST(ScoreShareTest, TheShareHoldsBetweenAnyTwoChunks) {
  std::mt19937 random(2);
  for (const double max_share : {0.05, 0.3, 0.5, 0.9}) {
    ScoreShare share(max_share);
    absl::Duration scoring;
    absl::Duration decoding;
    int chunks = 0;
    for (int step = 0; step < 5000; ++step) {
      const absl::Duration took = absl::Microseconds(random() % 1000);
      share.OnDecoded(took);
      decoding += took;
      if (!share.MayScore(true)) continue;
      const double so_far = absl::FDivDuration(scoring, scoring + decoding);
      EXPECT_LE(so_far, max_share + 1e-9);
      ++chunks;
      const absl::Duration chunk = absl::Microseconds(random() % 3000);
      share.OnScored(chunk, true);
      scoring += chunk;
    }
    EXPECT_GT(chunks, 50) << "scoring starves at share " << max_share;
  }
}

}  // namespace
}  // namespace petit::engine
