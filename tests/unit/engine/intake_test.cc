// What is refused at the door, and what the refusal says.
#include <limits>

#include "tests/unit/engine/loop_fixture.h"

namespace petit::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class IntakeTest : public LoopTest {
 protected:
  void ExpectRefused(const absl::Status& status, absl::StatusCode code, const ::testing::Matcher<std::string>& says) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), says);
  }
};

TEST_F(IntakeTest, AnEmptySourceIsRefused) {
  Start();
  ExpectRefused(TryEnqueue(SequenceRequest()), absl::StatusCode::kInvalidArgument, HasSubstr("source_ids is empty"));
}

TEST_F(IntakeTest, SourceIdsOutsideTheVocabularyAreRefused) {
  Start();
  SequenceRequest request = Request(4);
  request.source_ids[2] = kVocabSize;
  ExpectRefused(TryEnqueue(request), absl::StatusCode::kInvalidArgument,
                HasSubstr("source_ids[2] is 64, outside the vocabulary [0, 64)"));
  request.source_ids[2] = -1;
  ExpectRefused(TryEnqueue(request), absl::StatusCode::kInvalidArgument, HasSubstr("source_ids[2] is -1"));
}

TEST_F(IntakeTest, OptionsIdsOutsideTheVocabularyAreRefused) {
  Start();
  SequenceRequest request = Request(4);
  request.options.bad_words = {{3}, {4, 99}};
  ExpectRefused(TryEnqueue(request), absl::StatusCode::kInvalidArgument,
                AllOf(HasSubstr("bad_words"), HasSubstr("99")));
  request.options.bad_words.clear();
  request.options.forced_bos = -5;
  ExpectRefused(TryEnqueue(request), absl::StatusCode::kInvalidArgument, HasSubstr("forced_bos is -5"));
  request.options.forced_bos.reset();
  request.options.forced_eos = 64;
  ExpectRefused(TryEnqueue(request), absl::StatusCode::kInvalidArgument, HasSubstr("forced_eos is 64"));
}

TEST_F(IntakeTest, ARequestWithoutDoneIsRefused) {
  Start();
  ExpectRefused(loop_->Enqueue(Request(3)), absl::StatusCode::kInvalidArgument, HasSubstr("done"));
  ExpectRefused(loop_->EnqueueScore(Pair(3, 3)), absl::StatusCode::kInvalidArgument, HasSubstr("done"));
}

TEST_F(IntakeTest, MoreRowsThanTheReplicaHasAreRefused) {
  options_.limits.max_rows = 4;
  Start();
  SequenceRequest request = Request(4);
  request.options.num_beams = 5;
  ExpectRefused(TryEnqueue(request), absl::StatusCode::kInvalidArgument,
                AllOf(HasSubstr("5 rows"), HasSubstr("limit is 4 (max_rows)")));
  request.options.num_beams = 4;
  const Sequence fits = Enqueue(request);
  RunUntilIdle();
  EXPECT_TRUE(fits->result->ok());
}

TEST_F(IntakeTest, AFootprintAboveTheLimitIsRefused) {
  options_.limits.max_kv_bytes = 99;
  Start();
  SequenceRequest request = Request(10);
  request.options.max_new_tokens = 90;
  ExpectRefused(TryEnqueue(request), absl::StatusCode::kInvalidArgument,
                AllOf(HasSubstr("needs 100 bytes"), HasSubstr("limit is 99 (max_kv_bytes)")));
  request.options.max_new_tokens = 89;
  const Sequence fits = Enqueue(request);
  RunUntilIdle();
  EXPECT_TRUE(fits->result->ok());
}

TEST_F(IntakeTest, AFullQueueSaysItsLengthAndItsLimit) {
  options_.limits.max_queue_length = 2;
  Start();
  Enqueue(3);
  Enqueue(3);
  ExpectRefused(TryEnqueue(Request(3)), absl::StatusCode::kResourceExhausted,
                HasSubstr("the queue is full: 2 sequences wait, this request adds 1, the limit is 2"));
  loop_->RunOnce();
  Enqueue(3);
  RunUntilIdle();
}

TEST_F(IntakeTest, WhatTheWorkerHasTakenButNotAdmittedStillCounts) {
  options_.limits.max_queue_length = 2;
  options_.limits.max_rows = 1;
  Start();
  Enqueue(9);
  loop_->RunOnce();
  Enqueue(3);
  Enqueue(3);
  loop_->RunOnce();
  EXPECT_EQ(TryEnqueue(Request(3)).code(), absl::StatusCode::kResourceExhausted);
  RunUntilIdle();
}

TEST_F(IntakeTest, QueuedBytesAreBounded) {
  options_.limits.max_queue_bytes = 100 * static_cast<std::int64_t>(sizeof(TokenId));
  Start();
  Enqueue(60);
  ExpectRefused(TryEnqueue(Request(41)), absl::StatusCode::kResourceExhausted,
                AllOf(HasSubstr("240 bytes wait"), HasSubstr("adds 164 bytes"), HasSubstr("limit is 400")));
  Enqueue(40);
  loop_->RunOnce();
  Enqueue(100);
  RunUntilIdle();
}

TEST_F(IntakeTest, ARequestOfSeveralIsTakenWholeOrNotAtAll) {
  options_.limits.max_queue_length = 4;
  Start();
  Enqueue(3);
  Enqueue(3);
  const auto several = [](int count, std::shared_ptr<int> answered) {
    std::vector<SequenceRequest> requests;
    for (int i = 0; i < count; ++i) {
      requests.push_back(Request(3));
      requests.back().done = [answered](const absl::StatusOr<SequenceResult>& result) {
        EXPECT_TRUE(result.ok());
        ++*answered;
      };
    }
    return requests;
  };
  auto none = std::make_shared<int>(0);
  ExpectRefused(loop_->Enqueue(several(3, none)), absl::StatusCode::kResourceExhausted,
                AllOf(HasSubstr("adds 3"), HasSubstr("limit is 4")));
  auto two = std::make_shared<int>(0);
  EXPECT_TRUE(loop_->Enqueue(several(2, two)).ok());
  RunUntilIdle();
  EXPECT_EQ(*none, 0);
  EXPECT_EQ(*two, 2);
  ExpectRefused(loop_->Enqueue(several(5, none)), absl::StatusCode::kInvalidArgument,
                AllOf(HasSubstr("5 sequences"), HasSubstr("can never"), HasSubstr("split")));
  std::vector<SequenceRequest> one_bad = several(3, none);
  one_bad[1].source_ids.clear();
  ExpectRefused(loop_->Enqueue(std::move(one_bad)), absl::StatusCode::kInvalidArgument, HasSubstr("sequence 1: "));
  EXPECT_FALSE(loop_->HasWork());
  EXPECT_TRUE(loop_->Enqueue(std::vector<SequenceRequest>()).ok());
  EXPECT_FALSE(loop_->HasWork());
}

TEST_F(IntakeTest, AStoppingLoopRefusesNewcomersAndServesTheAccepted) {
  Start();
  const Sequence accepted = Enqueue(3);
  const Scored pair = EnqueueScore(2, 2);
  loop_->StopAccepting();
  ExpectRefused(TryEnqueue(Request(3)), absl::StatusCode::kUnavailable, HasSubstr("stopping"));
  ScoreRequest score = Pair(2, 2);
  score.done = [](const absl::StatusOr<ScoreResult>&) { ADD_FAILURE(); };
  EXPECT_EQ(loop_->EnqueueScore(score).code(), absl::StatusCode::kUnavailable);
  RunUntilIdle();
  EXPECT_TRUE(accepted->result->ok());
  EXPECT_TRUE(pair->result->ok());
}

TEST_F(IntakeTest, BadPairsAreRefused) {
  scripted_.distribution_size = 60;
  Start();
  const auto refused = [this](ScoreRequest request, const char* says) {
    request.done = [](const absl::StatusOr<ScoreResult>&) { ADD_FAILURE(); };
    ExpectRefused(loop_->EnqueueScore(std::move(request)), absl::StatusCode::kInvalidArgument, HasSubstr(says));
  };
  refused(Pair(0, 3), "source_ids is empty");
  refused(Pair(3, 0), "target_ids is empty");
  ScoreRequest request = Pair(3, 3);
  request.target_ids[1] = 64;
  refused(request, "target_ids[1] is 64");
  request = Pair(3, 2);
  request.reference_log_probs = std::make_shared<std::vector<float>>(119);
  refused(request, "119 values; 2 target ids over a distribution of 60 ids need 120");
}

TEST_F(IntakeTest, TheScoreQueueIsBoundedByItself) {
  options_.limits.max_queue_length = 2;
  Start();
  Enqueue(3);
  Enqueue(3);
  EnqueueScore(2, 2);
  EnqueueScore(2, 2);
  ScoreRequest third = Pair(2, 2);
  third.done = [](const absl::StatusOr<ScoreResult>&) { ADD_FAILURE(); };
  ExpectRefused(loop_->EnqueueScore(third), absl::StatusCode::kResourceExhausted,
                HasSubstr("2 pairs to score wait, this request adds 1, the limit is 2"));
  RunUntilIdle();
  EnqueueScore(2, 2);
  RunUntilIdle();
}

TEST_F(IntakeTest, WhatFailsOrComesTooLateMakesRoom) {
  options_.limits.max_queue_length = 1;
  options_.limits.max_score_share = 0;
  Start();
  Enqueue(3);
  EnqueueScore(2, 2);
  loop_->FailAll(absl::UnavailableError("gone"));
  Enqueue(3);
  ScoreRequest late = Pair(2, 2);
  late.deadline = now_;
  EnqueueScore(late);
  loop_->RunOnce();
  Enqueue(3);
  EnqueueScore(2, 2);
  RunUntilIdle();
}

}  // namespace
}  // namespace petit::engine
