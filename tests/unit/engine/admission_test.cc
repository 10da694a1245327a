// Who joins when, seen from the executor's side.
#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "tests/unit/engine/loop_fixture.h"

namespace petit::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class AdmissionTest : public LoopTest {};

TEST_F(AdmissionTest, AnIdleLoopHasNothingToDo) {
  Start();
  EXPECT_FALSE(loop_->HasWork());
  EXPECT_FALSE(loop_->RunOnce());
  EXPECT_THAT(log_->calls(), IsEmpty());
}

TEST_F(AdmissionTest, ASequenceIsEncodedSteppedAnsweredAndReleased) {
  Start();
  SequenceRequest request = Request(3);
  request.source_ids = {9, 8, 7};
  const Sequence sequence = Enqueue(request);
  EXPECT_TRUE(loop_->HasWork());
  RunUntilIdle();
  ASSERT_TRUE(sequence->done());
  const SequenceResult& result = sequence->value();
  ASSERT_EQ(result.hypotheses.size(), 1U);
  EXPECT_THAT(result.hypotheses[0].ids, ElementsAre(9, 8, 7));
  EXPECT_EQ(result.hypotheses[0].finish_reason, decoding::FinishReason::kEos);
  EXPECT_EQ(result.steps, 4);
  EXPECT_EQ(log_->calls(Call::Kind::kAdmit).size(), 1U);
  EXPECT_EQ(Steps().size(), 4U);
  EXPECT_THAT(log_->calls(Call::Kind::kRelease).at(0).slots, ElementsAre(0));
}

TEST_F(AdmissionTest, ALateJoinerDecodesBesideAnOlderRow) {
  Start();
  const Sequence first = Enqueue(8);
  loop_->RunOnce();
  loop_->RunOnce();
  EXPECT_THAT(LastStepSlots(), ElementsAre(0));
  const Sequence second = Enqueue(2);
  loop_->RunOnce();
  EXPECT_THAT(LastStepSlots(), ElementsAre(0, 1));
  RunUntilIdle();
  EXPECT_EQ(first->value().steps, 9);
  EXPECT_EQ(second->value().steps, 3);
  EXPECT_EQ(Steps().size(), 9U) << "the second rode along";
}

TEST_F(AdmissionTest, TheFinishedLeaveAtOnce) {
  Start();
  const Sequence longer = Enqueue(5);
  const Sequence shorter = Enqueue(1);
  loop_->RunOnce();
  EXPECT_FALSE(shorter->done());
  loop_->RunOnce();
  EXPECT_TRUE(shorter->done());
  EXPECT_FALSE(longer->done());
  EXPECT_THAT(log_->calls(Call::Kind::kRelease).at(0).slots, ElementsAre(1));
  loop_->RunOnce();
  EXPECT_THAT(LastStepSlots(), ElementsAre(0));
}

TEST_F(AdmissionTest, AFreedSlotIsRefilledAtTheVeryNextStep) {
  options_.limits.max_rows = 2;
  Start();
  const Sequence longer = Enqueue(9);
  const Sequence shorter = Enqueue(1);
  const Sequence waiting = Enqueue(3);
  loop_->RunOnce();
  loop_->RunOnce();
  ASSERT_TRUE(shorter->done());
  EXPECT_EQ(log_->calls(Call::Kind::kAdmit).size(), 1U) << "no room so far";
  loop_->RunOnce();
  EXPECT_THAT(log_->calls(Call::Kind::kAdmit).at(1).slots, ElementsAre(1));
  EXPECT_THAT(LastStepSlots(), ElementsAre(0, 1));
  RunUntilIdle();
  EXPECT_TRUE(longer->value().steps == 10 && waiting->value().steps == 4);
}

TEST_F(AdmissionTest, SlotNumbersAreReusedSmallestFirst) {
  options_.limits.max_rows = 3;
  Start();
  for (const int length : {1, 5, 1, 4, 4}) Enqueue(length);
  loop_->RunOnce();
  loop_->RunOnce();  // slots 0 and 2 become free
  loop_->RunOnce();
  EXPECT_THAT(log_->calls(Call::Kind::kAdmit).at(1).slots, ElementsAre(0, 2));
  RunUntilIdle();
}

TEST_F(AdmissionTest, StaticModeAdmitsNobodyUntilTheBatchIsDone) {
  options_.limits.mode = BatchingMode::kStatic;
  Start();
  Enqueue(4);
  Enqueue(1);
  loop_->RunOnce();
  const Sequence later = Enqueue(1);
  for (int turn = 0; turn < 4; ++turn) loop_->RunOnce();
  EXPECT_FALSE(loop_->RunOnce() && later->done());
  RunUntilIdle();
  EXPECT_TRUE(later->done());
  const std::vector<Call> steps = Steps();
  ASSERT_EQ(steps.size(), 7U) << "five steps for the batch, two for the one that waited";
  EXPECT_THAT(steps[0].slots, ElementsAre(0, 1));
  for (int step = 2; step < 7; ++step) EXPECT_THAT(steps[step].slots, ElementsAre(0));
}

TEST_F(AdmissionTest, OneAtATimeNeverStepsTwo) {
  options_.limits.mode = BatchingMode::kOneAtATime;
  Start();
  for (const int length : {3, 1, 2}) Enqueue(length);
  RunUntilIdle();
  const std::vector<Call> steps = Steps();
  EXPECT_EQ(steps.size(), 4U + 2U + 3U);
  for (const Call& step : steps) EXPECT_EQ(step.rows.size(), 1U);
}

TEST_F(AdmissionTest, NewcomersBetweenTwoStepsStayBelowTheEncoderBound) {
  options_.limits.max_encoder_tokens_per_step = 10;
  Start();
  for (const int length : {6, 4, 1, 30, 2, 2}) Enqueue(length);
  RunUntilIdle();
  std::vector<std::vector<int>> admitted;
  for (const Call& call : log_->calls(Call::Kind::kAdmit)) admitted.push_back(call.source_tokens);
  EXPECT_THAT(admitted, ElementsAre(ElementsAre(6, 4), ElementsAre(1), ElementsAre(30), ElementsAre(2, 2)));
  const std::vector<Call> all = log_->calls();
  for (std::size_t i = 1; i < all.size(); ++i) {
    EXPECT_FALSE(all[i].kind == Call::Kind::kAdmit && all[i - 1].kind == Call::Kind::kAdmit)
        << "those who decode get a step between two admissions";
  }
}

TEST_F(AdmissionTest, AWideSequenceIsNotStarvedByAFloodOfNarrowOnes) {
  options_.limits.max_rows = 4;
  options_.limits.max_queue_length = 1000;
  Start();
  for (int i = 0; i < 6; ++i) Enqueue(2 + i);
  SequenceRequest wide = Request(50);
  wide.options.num_beams = 4;
  wide.options.max_new_tokens = 3;
  const Sequence sequence = Enqueue(wide);
  int turns = 0;
  while (!sequence->done()) {
    Enqueue(3);
    ASSERT_TRUE(loop_->RunOnce());
    ASSERT_LT(++turns, 30) << "starved";
  }
  RunUntilIdle();
}

TEST_F(AdmissionTest, SequencesAreAdmittedInTheOrderOfTheirArrival) {
  options_.limits.max_rows = 3;
  Start();
  std::vector<int> lengths;
  std::mt19937 random(3);
  for (int length = 1; length <= 60; ++length) lengths.push_back(length);
  std::shuffle(lengths.begin(), lengths.end(), random);
  for (const int length : lengths) Enqueue(length);
  RunUntilIdle();
  std::vector<int> admitted;
  for (const Call& call : log_->calls(Call::Kind::kAdmit)) {
    admitted.insert(admitted.end(), call.source_tokens.begin(), call.source_tokens.end());
  }
  EXPECT_EQ(admitted, lengths);
}

// Source lengths are the sequences' names here: each is used once.
TEST_F(AdmissionTest, NoLimitIsEverExceededOverARandomWorkload) {
  options_.limits.max_rows = 10;
  options_.limits.max_kv_bytes = 1500;
  options_.limits.max_encoder_tokens_per_step = 200;
  options_.limits.max_queue_length = 1000;
  Start();
  std::mt19937 random(4);
  std::map<int, std::int64_t> footprints;
  std::map<int, int> rows;
  std::vector<Sequence> sequences;
  std::vector<CancelFlag> flags;
  for (int length = 1; length <= 300; ++length) {
    SequenceRequest request = Request(length);
    request.options.num_beams = 1 + static_cast<int>(random() % 4);
    request.options.max_new_tokens = 1 + static_cast<int>(random() % 20);
    flags.push_back(request.cancelled = MakeCancelFlag());
    footprints[length] = length + request.options.num_beams * request.options.max_new_tokens;
    rows[length] = request.options.num_beams;
    sequences.push_back(Enqueue(request));
    if (random() % 2 == 0) loop_->RunOnce();
    if (random() % 3 == 0) *flags[random() % flags.size()] = true;
  }
  RunUntilIdle();
  for (const Sequence& sequence : sequences) EXPECT_TRUE(sequence->done());

  std::map<Slot, int> held;
  for (const Call& call : log_->calls()) {
    if (call.kind == Call::Kind::kRelease) {
      for (const Slot slot : call.slots) held.erase(slot);
    } else if (call.kind == Call::Kind::kAdmit) {
      int tokens = 0;
      for (std::size_t i = 0; i < call.slots.size(); ++i) {
        held[call.slots[i]] = call.source_tokens[i];
        tokens += call.source_tokens[i];
      }
      EXPECT_TRUE(tokens <= 200 || call.slots.size() == 1);
      std::int64_t bytes = 0;
      int reserved = 0;
      for (const auto& [slot, length] : held) {
        bytes += footprints[length];
        reserved += rows[length];
      }
      EXPECT_LE(bytes, 1500);
      EXPECT_LE(reserved, 10);
    } else {
      EXPECT_LE(call.rows.size(), 10U);
    }
  }
}

}  // namespace
}  // namespace petit::engine
