// Deadlines and cancellation, in the queue and mid-decode.
#include "tests/unit/engine/loop_fixture.h"

namespace petit::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LateTest : public LoopTest {
 protected:
  SequenceRequest Cancellable(int length, CancelFlag flag) {
    SequenceRequest request = Request(length);
    request.cancelled = std::move(flag);
    return request;
  }
  SequenceRequest Until(int length, absl::Time deadline) {
    SequenceRequest request = Request(length);
    request.deadline = deadline;
    return request;
  }
};

TEST_F(LateTest, ADeadlineThatPassesInTheQueueIsAnsweredThere) {
  options_.limits.max_rows = 1;
  Start();
  const Sequence first = Enqueue(5);
  const Sequence late = Enqueue(Until(5, now_ + absl::Seconds(1)));
  loop_->RunOnce();
  EXPECT_FALSE(late->done());
  now_ += absl::Milliseconds(1200);
  loop_->RunOnce();
  ASSERT_TRUE(late->done());
  EXPECT_EQ(late->code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(late->message(), HasSubstr("deadline passed in the queue after 1.2 s"));
  RunUntilIdle();
  EXPECT_TRUE(first->result->ok());
  EXPECT_EQ(log_->calls(Call::Kind::kAdmit).size(), 1U) << "the late one was never encoded";
}

TEST_F(LateTest, ADeadlineThatPassesMidDecodeFreesTheSlotBeforeTheNextStep) {
  Start();
  const Sequence late = Enqueue(Until(9, now_ + absl::Seconds(1)));
  const Sequence other = Enqueue(9);
  for (int step = 0; step < 3; ++step) loop_->RunOnce();
  now_ += absl::Seconds(1);
  loop_->RunOnce();
  ASSERT_TRUE(late->done());
  EXPECT_EQ(late->code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(late->message(), "deadline passed after 3 tokens");
  EXPECT_THAT(log_->calls(Call::Kind::kRelease).at(0).slots, ElementsAre(0));
  EXPECT_THAT(LastStepSlots(), ElementsAre(1));
  RunUntilIdle();
  EXPECT_EQ(other->value().hypotheses[0].ids.size(), 9U) << "its company is unharmed";
}

TEST_F(LateTest, NoStepAfterACancellationNamesItsSlot) {
  Start();
  const CancelFlag flag = MakeCancelFlag();
  const Sequence cancelled = Enqueue(Cancellable(9, flag));
  const Sequence other = Enqueue(9);
  loop_->RunOnce();
  loop_->RunOnce();
  *flag = true;
  RunUntilIdle();
  EXPECT_EQ(cancelled->code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(cancelled->message(), "cancelled after 2 tokens");
  const std::vector<Call> steps = Steps();
  for (std::size_t step = 2; step < steps.size(); ++step) EXPECT_THAT(steps[step].slots, ElementsAre(1));
  EXPECT_EQ(other->value().steps, 10);
}

TEST_F(LateTest, ACancelledSequenceThatWaitsIsAnsweredWhileOthersDecode) {
  options_.limits.max_rows = 1;
  Start();
  Enqueue(9);
  const CancelFlag flag = MakeCancelFlag();
  const Sequence cancelled = Enqueue(Cancellable(9, flag));
  loop_->RunOnce();
  *flag = true;
  now_ += absl::Milliseconds(50);
  loop_->RunOnce();
  ASSERT_TRUE(cancelled->done());
  EXPECT_EQ(cancelled->code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(cancelled->message(), HasSubstr("in the queue after 50 ms"));
  RunUntilIdle();
}

TEST_F(LateTest, TheSequencesOfARequestShareItsFlag) {
  Start();
  const CancelFlag flag = MakeCancelFlag();
  const Sequence one = Enqueue(Cancellable(9, flag));
  const Sequence two = Enqueue(Cancellable(5, flag));
  loop_->RunOnce();
  *flag = true;
  loop_->RunOnce();
  EXPECT_TRUE(one->done() && two->done());
  EXPECT_EQ(Steps().size(), 1U);
  EXPECT_FALSE(loop_->HasWork());
}

TEST_F(LateTest, ACancelledBeamSearchLeavesOthersParentsRight) {
  scripted_.script = HashScript(kVocabSize, 3);
  Start();
  const CancelFlag flag = MakeCancelFlag();
  SequenceRequest beams = Cancellable(4, flag);
  beams.options.num_beams = 3;
  beams.options.max_new_tokens = 20;
  beams.options.min_new_tokens = 20;
  SequenceRequest other = beams;
  other.source_ids = {9, 9};
  other.cancelled = nullptr;
  Enqueue(beams);
  const Sequence in_company = Enqueue(other);
  for (int step = 0; step < 4; ++step) loop_->RunOnce();
  *flag = true;
  RunUntilIdle();
  const Sequence alone = Enqueue(other);
  RunUntilIdle();
  EXPECT_EQ(in_company->value().hypotheses[0].ids, alone->value().hypotheses[0].ids);
  EXPECT_EQ(in_company->value().hypotheses[0].score, alone->value().hypotheses[0].score);
}

TEST_F(LateTest, ASequenceThatFinishesInTheStepThatOverranIsAnsweredWithItsResult) {
  scripted_.before = [this](const Call& call) {
    if (call.kind == Call::Kind::kStep && call.index == 1) now_ += absl::Seconds(5);
    return absl::OkStatus();
  };
  Start();
  const Sequence sequence = Enqueue(Until(1, now_ + absl::Seconds(1)));
  RunUntilIdle();
  EXPECT_TRUE(sequence->result->ok());
}

TEST_F(LateTest, PairsToScoreAreDroppedToo) {
  options_.limits.max_score_share = 0;
  Start();
  Enqueue(9);
  const CancelFlag flag = MakeCancelFlag();
  ScoreRequest cancelled = Pair(2, 2);
  cancelled.cancelled = flag;
  ScoreRequest expired = Pair(2, 2);
  expired.deadline = now_ + absl::Seconds(1);
  const Scored one = EnqueueScore(cancelled);
  const Scored two = EnqueueScore(expired);
  const Scored three = EnqueueScore(2, 2);
  loop_->RunOnce();
  EXPECT_FALSE(one->done() || two->done());
  *flag = true;
  now_ += absl::Seconds(2);
  loop_->RunOnce();
  EXPECT_EQ(one->code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(two->code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(two->message(), HasSubstr("in the queue after 2.0 s"));
  RunUntilIdle();
  EXPECT_TRUE(three->result->ok());
}

}  // namespace
}  // namespace petit::engine
