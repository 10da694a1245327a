#include "models/engine/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

namespace petit::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(1000);

Waiting Of(int source_tokens, int rows, std::int64_t kv_bytes) {
  return {.source_tokens = source_tokens, .rows = rows, .kv_bytes = kv_bytes};
}

TEST(AdmitTest, AdmitsAllThatFitInOrder) {
  const std::vector<Waiting> queue = {Of(10, 1, 100), Of(10, 4, 100), Of(10, 1, 100)};
  const Admission admission = Admit(queue, {}, kNow, {});
  EXPECT_THAT(admission.admit, ElementsAre(0, 1, 2));
  EXPECT_THAT(admission.expired, IsEmpty());
  EXPECT_THAT(admission.cancelled, IsEmpty());
}

TEST(AdmitTest, TheFirstThatDoesNotFitStopsThoseBehindIt) {
  BatchingLimits limits;
  limits.max_rows = 8;
  const std::vector<Waiting> queue = {Of(1, 4, 1), Of(1, 5, 1), Of(1, 1, 1)};
  EXPECT_THAT(Admit(queue, {}, kNow, limits).admit, ElementsAre(0));
}

TEST(AdmitTest, RowsCountThoseThatDecodeAlready) {
  BatchingLimits limits;
  limits.max_rows = 8;
  const ActiveLoad active = {.sequences = 2, .rows = {{0, 6}}, .kv_bytes = 0};
  const std::vector<Waiting> queue = {Of(1, 1, 1), Of(1, 1, 1), Of(1, 1, 1)};
  EXPECT_THAT(Admit(queue, active, kNow, limits).admit, ElementsAre(0, 1));
}

TEST(AdmitTest, BytesAreReservedUpToTheLimitAndNotBeyond) {
  BatchingLimits limits;
  limits.max_kv_bytes = 1000;
  const ActiveLoad active = {.sequences = 1, .rows = {{0, 1}}, .kv_bytes = 400};
  EXPECT_THAT(Admit(std::vector<Waiting>{Of(1, 1, 600), Of(1, 1, 1)}, active, kNow, limits).admit, ElementsAre(0));
  EXPECT_THAT(Admit(std::vector<Waiting>{Of(1, 1, 601)}, active, kNow, limits).admit, IsEmpty());
}

TEST(AdmitTest, HugeFootprintsDoNotOverflow) {
  BatchingLimits limits;
  limits.max_kv_bytes = std::numeric_limits<std::int64_t>::max();
  const std::int64_t huge = limits.max_kv_bytes - 10;
  EXPECT_THAT(Admit(std::vector<Waiting>{Of(1, 1, huge), Of(1, 1, huge)}, {}, kNow, limits).admit, ElementsAre(0));
}

TEST(AdmitTest, EncoderTokensOfAStepAreBounded) {
  BatchingLimits limits;
  limits.max_encoder_tokens_per_step = 100;
  const std::vector<Waiting> queue = {Of(60, 1, 1), Of(40, 1, 1), Of(1, 1, 1)};
  EXPECT_THAT(Admit(queue, {}, kNow, limits).admit, ElementsAre(0, 1));
}

TEST(AdmitTest, ALongSourceIsTheOnlyNewcomerOfItsStep) {
  BatchingLimits limits;
  limits.max_encoder_tokens_per_step = 100;
  EXPECT_THAT(Admit(std::vector<Waiting>{Of(500, 1, 1), Of(1, 1, 1)}, {}, kNow, limits).admit, ElementsAre(0));
  EXPECT_THAT(Admit(std::vector<Waiting>{Of(1, 1, 1), Of(500, 1, 1)}, {}, kNow, limits).admit, ElementsAre(0));
}

TEST(AdmitTest, TheLateAreFoundEverywhereAndLeaveRoomForOthers) {
  BatchingLimits limits;
  limits.max_rows = 1;
  std::vector<Waiting> queue(5, Of(1, 1, 1));
  queue[0].deadline = kNow;
  queue[1].cancelled = true;
  queue[3].cancelled = true;
  queue[4].deadline = kNow - absl::Seconds(1);
  const Admission admission = Admit(queue, {}, kNow, limits);
  EXPECT_THAT(admission.admit, ElementsAre(2));
  EXPECT_THAT(admission.expired, ElementsAre(0, 4));
  EXPECT_THAT(admission.cancelled, ElementsAre(1, 3));
}

TEST(AdmitTest, TheLateAreFoundBehindOneThatDoesNotFit) {
  BatchingLimits limits;
  limits.max_rows = 1;
  std::vector<Waiting> queue(3, Of(1, 1, 1));
  queue[2].cancelled = true;
  const ActiveLoad full = {.sequences = 1, .rows = {{0, 1}}, .kv_bytes = 0};
  const Admission admission = Admit(queue, full, kNow, limits);
  EXPECT_THAT(admission.admit, IsEmpty());
  EXPECT_THAT(admission.cancelled, ElementsAre(2));
}

TEST(AdmitTest, ACancelledSequenceIsNotCalledExpired) {
  Waiting both = Of(1, 1, 1);
  both.cancelled = true;
  both.deadline = kNow - absl::Seconds(1);
  const Admission admission = Admit(std::vector<Waiting>{both}, {}, kNow, {});
  EXPECT_THAT(admission.cancelled, ElementsAre(0));
  EXPECT_THAT(admission.expired, IsEmpty());
}

TEST(AdmitTest, StaticBatchesFormOnlyOnAnIdleReplica) {
  BatchingLimits limits;
  limits.mode = BatchingMode::kStatic;
  limits.max_rows = 2;
  const std::vector<Waiting> queue(3, Of(1, 1, 1));
  EXPECT_THAT(Admit(queue, {}, kNow, limits).admit, ElementsAre(0, 1));
  EXPECT_THAT(Admit(queue, {.sequences = 1, .rows = {{0, 1}}, .kv_bytes = 1}, kNow, limits).admit, IsEmpty());
}

TEST(AdmitTest, OneAtATimeAdmitsOneToAnIdleReplica) {
  BatchingLimits limits;
  limits.mode = BatchingMode::kOneAtATime;
  const std::vector<Waiting> queue(3, Of(1, 1, 1));
  EXPECT_THAT(Admit(queue, {}, kNow, limits).admit, ElementsAre(0));
  EXPECT_THAT(Admit(queue, {.sequences = 1, .rows = {{0, 1}}, .kv_bytes = 1}, kNow, limits).admit, IsEmpty());
}

TEST(AdmitTest, NoRandomQueueBreaksALimitOrTheOrder) {
  std::mt19937 random(1);
  const auto below = [&random](int end) { return static_cast<int>(random() % end); };
  for (int round = 0; round < 2000; ++round) {
    BatchingLimits limits;
    limits.max_rows = 1 + below(20);
    limits.max_kv_bytes = 1 + below(500);
    limits.max_encoder_tokens_per_step = 1 + below(100);
    int rows = below(limits.max_rows + 1);
    ActiveLoad load = {.sequences = 0, .rows = {{0, rows}}, .kv_bytes = below(500)};
    load.kv_bytes = std::min(load.kv_bytes, limits.max_kv_bytes);
    std::vector<Waiting> queue;
    for (int i = below(30); i > 0; --i) {
      queue.push_back(Of(1 + below(60), 1 + below(8), below(200)));
      if (below(6) == 0) queue.back().cancelled = true;
      if (below(6) == 0) queue.back().deadline = kNow - absl::Seconds(below(2));
    }
    const Admission admission = Admit(queue, load, kNow, limits);

    int tokens = 0;
    std::size_t next = 0;
    for (int i = 0; i < static_cast<int>(queue.size()); ++i) {
      const bool late = queue[i].cancelled || queue[i].deadline <= kNow;
      const bool admitted = next < admission.admit.size() && admission.admit[next] == i;
      if (admitted) {
        ASSERT_FALSE(late);
        ++next;
        rows += queue[i].rows;
        load.kv_bytes += queue[i].kv_bytes;
        tokens += queue[i].source_tokens;
      } else if (!late) {
        break;  // nobody overtakes the first that waits on
      }
    }
    ASSERT_EQ(next, admission.admit.size());
    ASSERT_LE(rows, limits.max_rows);
    ASSERT_LE(load.kv_bytes, limits.max_kv_bytes);
    if (admission.admit.size() > 1) {
      ASSERT_LE(tokens, limits.max_encoder_tokens_per_step);
    }
  }
}

Waiting OfFlow(Flow flow, int rows) {
  Waiting waiting = Of(1, rows, 1);
  waiting.flow = flow;
  return waiting;
}

TEST(AdmitTest, AFlowBelowItsShareIsLetInBeyondTheRows) {
  BatchingLimits limits;
  limits.max_rows = 8;
  const ActiveLoad full = {.sequences = 8, .rows = {{1, 8}}, .kv_bytes = 0};
  const std::vector<Waiting> queue = {OfFlow(1, 1), OfFlow(2, 3), OfFlow(2, 1), OfFlow(2, 1)};
  EXPECT_THAT(Admit(queue, full, kNow, limits).admit, ElementsAre(1, 2)) << "half of eight";
  EXPECT_THAT(Admit(queue, full, kNow, limits, /*last_flow=*/1).admit, ElementsAre(1, 2)) << "whoever's turn it is";
}

TEST(AdmitTest, AFlowBelowItsShareWhoseNextIsBeyondItKeepsItsTurn) {
  BatchingLimits limits;
  limits.max_rows = 8;
  const ActiveLoad active = {.sequences = 7, .rows = {{1, 7}}, .kv_bytes = 0};
  EXPECT_THAT(Admit(std::vector<Waiting>{OfFlow(1, 1), OfFlow(2, 5)}, active, kNow, limits, 1).admit, IsEmpty());
}

TEST(AdmitTest, BytesAreNotLetInBeyond) {
  BatchingLimits limits;
  limits.max_rows = 8;
  limits.max_kv_bytes = 10;
  const ActiveLoad full = {.sequences = 8, .rows = {{1, 8}}, .kv_bytes = 10};
  EXPECT_THAT(Admit(std::vector<Waiting>{OfFlow(2, 1)}, full, kNow, limits).admit, IsEmpty());
}

TEST(AdmitTest, TheHeldArePassedOverUnlessTheyAreLate) {
  std::vector<Waiting> queue = {OfFlow(1, 1), OfFlow(2, 1), OfFlow(1, 1), OfFlow(1, 1)};
  for (const int i : {0, 2, 3}) queue[i].held = true;
  queue[2].cancelled = true;
  queue[3].deadline = kNow;
  const Admission admission = Admit(queue, {}, kNow, {});
  EXPECT_THAT(admission.admit, ElementsAre(1));
  EXPECT_THAT(admission.cancelled, ElementsAre(2));
  EXPECT_THAT(admission.expired, ElementsAre(3));
}

TEST(AdmitTest, ManyFlowsTogetherHaveTwiceTheRowsAtMost) {
  std::mt19937 random(2);
  const auto below = [&random](int end) { return static_cast<int>(random() % end); };
  for (int round = 0; round < 200; ++round) {
    BatchingLimits limits;
    limits.max_rows = 1 + below(20);
    ActiveLoad load;
    Flow last = 0;
    for (int turn = 0; turn < 30; ++turn) {
      std::vector<Waiting> queue;
      for (int i = below(10); i > 0; --i) {
        queue.push_back(OfFlow(1 + below(1 + turn), 1 + below(std::min(4, limits.max_rows))));
      }
      const Admission admission = Admit(queue, load, kNow, limits, last);
      last = admission.last_flow;
      for (const int i : admission.admit) load.rows[queue[i].flow] += queue[i].rows;
      int rows = 0;
      for (const auto& [flow, its_rows] : load.rows) rows += its_rows;
      ASSERT_LE(rows, 2 * limits.max_rows);
      if (below(3) == 0 && !load.rows.empty()) load.rows.erase(load.rows.begin());
    }
  }
}

}  // namespace
}  // namespace petit::engine
