// Scoring between steps.
#include <cmath>

#include "tests/unit/engine/loop_fixture.h"

namespace petit::engine {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ScoreTest : public LoopTest {
 protected:
  std::vector<Call> Scores() const { return log_->calls(Call::Kind::kScore); }

  // Each step and each chunk takes its time on the clock.
  void TakeTime(absl::Duration step, absl::Duration chunk) {
    scripted_.before = [this, step, chunk](const Call& call) {
      if (call.kind == Call::Kind::kStep) now_ += step;
      if (call.kind == Call::Kind::kScore) now_ += chunk;
      return absl::OkStatus();
    };
  }
};

TEST_F(ScoreTest, APairIsScoredAsTheModelSays) {
  scripted_.script = HashScript(kVocabSize, 1);
  Start();
  ScoreRequest request = Pair(3, 2);
  request.target_ids = {5, 1};
  request.want_log_probs = true;
  const Scored scored = EnqueueScore(request);
  RunUntilIdle();
  const ScoreResult& result = scored->value();
  const std::vector<TokenId> history = {0, 5};
  const std::vector<float> logits = scripted_.script(request.source_ids, history);
  ASSERT_EQ(result.token_log_probs.size(), 2U);
  EXPECT_NEAR(result.token_log_probs[1], logits[1] - decoding::LogSumExp(logits), 1e-6);
  EXPECT_EQ(result.log_probs.size(), 2U * kVocabSize);
  EXPECT_THAT(result.kl, IsEmpty());

  request.want_log_probs = false;
  request.reference_log_probs = std::make_shared<const std::vector<float>>(result.log_probs);
  const Scored against_itself = EnqueueScore(request);
  RunUntilIdle();
  EXPECT_THAT(against_itself->value().kl, Each(FloatNear(0, 1e-6)));
  EXPECT_THAT(against_itself->value().log_probs, IsEmpty());
}

TEST_F(ScoreTest, ChunksAreFilledInOrderAndABigPairGoesAlone) {
  options_.limits.max_score_tokens_per_chunk = 20;
  Start();
  EnqueueScore(5, 5);
  EnqueueScore(6, 4);
  EnqueueScore(1, 1);
  EnqueueScore(30, 30);
  EnqueueScore(2, 2);
  EXPECT_TRUE(loop_->RunOnce());
  EXPECT_EQ(Scores().size(), 1U) << "one chunk a turn";
  RunUntilIdle();
  std::vector<std::vector<int>> chunks;
  for (const Call& call : Scores()) chunks.push_back(call.source_tokens);
  EXPECT_THAT(chunks, ElementsAre(ElementsAre(5, 6), ElementsAre(1), ElementsAre(30), ElementsAre(2)));
}

TEST_F(ScoreTest, ScoringKeepsBelowItsShareWhileSequencesDecode) {
  options_.limits.max_score_share = 0.25;
  options_.limits.max_score_tokens_per_chunk = 4;
  TakeTime(absl::Milliseconds(10), absl::Milliseconds(20));
  Start();
  Enqueue(40);  // 41 steps
  for (int pair = 0; pair < 20; ++pair) EnqueueScore(2, 2);
  for (int step = 0; step < 40; ++step) loop_->RunOnce();
  // A chunk of 20 ms asks for 60 ms of decoding: after steps 1, 7, 13, 19, 25, 31, 37.
  EXPECT_EQ(Scores().size(), 7U);
  std::vector<int> steps_between;
  int steps = 0;
  for (const Call& call : log_->calls()) {
    if (call.kind == Call::Kind::kStep) ++steps;
    if (call.kind == Call::Kind::kScore) steps_between.push_back(std::exchange(steps, 0));
  }
  EXPECT_THAT(steps_between, ElementsAre(1, 6, 6, 6, 6, 6, 6));
  RunUntilIdle();
  EXPECT_EQ(Scores().size(), 20U) << "an idle replica scores the rest";
}

TEST_F(ScoreTest, PairsWaitForIdlenessAtShareZero) {
  options_.limits.max_score_share = 0;
  Start();
  const Sequence sequence = Enqueue(5);
  const Scored scored = EnqueueScore(2, 2);
  while (!sequence->done()) {
    EXPECT_FALSE(scored->done());
    loop_->RunOnce();
  }
  RunUntilIdle();
  EXPECT_TRUE(scored->result->ok());
}

TEST_F(ScoreTest, SequencesJoinBetweenTheChunksOfALongQueue) {
  options_.limits.max_score_tokens_per_chunk = 4;
  Start();
  for (int pair = 0; pair < 50; ++pair) EnqueueScore(2, 2);
  loop_->RunOnce();
  const Sequence sequence = Enqueue(1);
  loop_->RunOnce();
  loop_->RunOnce();
  EXPECT_TRUE(sequence->done());
  RunUntilIdle();
}

TEST_F(ScoreTest, OneBadPairDoesNotLoseTheOthers) {
  scripted_.before = [](const Call& call) {
    for (const int tokens : call.target_tokens) {
      if (tokens == 3) return absl::ResourceExhaustedError("too long for this device");
    }
    return absl::OkStatus();
  };
  Start();
  const Scored good = EnqueueScore(2, 2);
  const Scored bad = EnqueueScore(2, 3);
  const Scored last = EnqueueScore(2, 4);
  RunUntilIdle();
  EXPECT_TRUE(good->result->ok());
  EXPECT_EQ(bad->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(last->value().token_log_probs.size(), 4U);
}

TEST_F(ScoreTest, AFailedChunkHarmsNoSequence) {
  scripted_.before = FailCall(Call::Kind::kScore, 0, absl::InternalError("broken"));
  Start();
  const Sequence sequence = Enqueue(5);
  const Scored scored = EnqueueScore(2, 2);
  RunUntilIdle();
  EXPECT_THAT(scored->message(), HasSubstr("broken"));
  EXPECT_EQ(scored->code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(sequence->result->ok());
}

}  // namespace
}  // namespace petit::engine
