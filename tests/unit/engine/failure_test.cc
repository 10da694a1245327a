// What an executor's error costs, and whom.
#include "tests/unit/engine/loop_fixture.h"

namespace petit::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FailureTest : public LoopTest {};

TEST_F(FailureTest, OnAFullDeviceOnlyTheOneTooManyFails) {
  scripted_.max_slots = 3;
  Start();
  const Sequence old = Enqueue(9);
  loop_->RunOnce();
  const std::vector<Sequence> newcomers = {Enqueue(4), Enqueue(4), Enqueue(4)};
  loop_->RunOnce();
  ASSERT_TRUE(newcomers[2]->done());
  EXPECT_EQ(newcomers[2]->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(newcomers[2]->message(), HasSubstr("the device is full"));
  EXPECT_THAT(LastStepSlots(), ElementsAre(0, 1, 2));
  const Sequence next = Enqueue(1);
  RunUntilIdle();
  EXPECT_TRUE(old->result->ok() && newcomers[0]->result->ok() && newcomers[1]->result->ok());
  EXPECT_EQ(next->code(), absl::StatusCode::kResourceExhausted) << "it came while the device was still full";
}

TEST_F(FailureTest, ALoneNewcomerThatFailsIsNotTriedTwice) {
  scripted_.before = FailCall(Call::Kind::kAdmit, 0, absl::ResourceExhaustedError("out of memory"));
  Start();
  const Sequence failed = Enqueue(3);
  loop_->RunOnce();
  EXPECT_EQ(failed->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(log_->calls(Call::Kind::kAdmit).size(), 1U);
  EXPECT_EQ(Steps().size(), 0U);
  const Sequence next = Enqueue(3);
  RunUntilIdle();
  EXPECT_TRUE(next->result->ok());
  EXPECT_THAT(log_->calls(Call::Kind::kAdmit).at(1).slots, ElementsAre(0)) << "the failed one's slot is free";
}

TEST_F(FailureTest, AFailedStepCostsTheActiveAndNobodyElse) {
  options_.limits.max_rows = 2;
  scripted_.before = FailCall(Call::Kind::kStep, 1, absl::InternalError("the device fell over"));
  Start();
  const std::vector<Sequence> active = {Enqueue(5), Enqueue(6)};
  const Sequence waiting = Enqueue(3);
  loop_->RunOnce();
  loop_->RunOnce();
  for (const Sequence& sequence : active) {
    ASSERT_TRUE(sequence->done());
    EXPECT_EQ(sequence->code(), absl::StatusCode::kInternal);
    EXPECT_EQ(sequence->message(), "the device fell over");
  }
  EXPECT_THAT(log_->calls(Call::Kind::kRelease).at(0).slots, ElementsAre(0, 1));
  RunUntilIdle();
  EXPECT_THAT(waiting->value().hypotheses[0].ids, ElementsAre(7, 7, 7));
}

// Leaves out the last result of every step.
class ForgetfulExecutor : public Executor {
 public:
  explicit ForgetfulExecutor(std::unique_ptr<Executor> executor) : executor_(std::move(executor)) {}
  const ExecutorInfo& info() const override { return executor_->info(); }
  std::int64_t Footprint(int source_tokens, int max_new_tokens, int rows) const override {
    return executor_->Footprint(source_tokens, max_new_tokens, rows);
  }
  absl::Status Admit(absl::Span<const Newcomer> newcomers) override { return executor_->Admit(newcomers); }
  absl::Status Step(absl::Span<const StepRow> rows, std::vector<decoding::RowResult>* results) override {
    absl::Status status = executor_->Step(rows, results);
    results->pop_back();
    return status;
  }
  absl::StatusOr<std::vector<ScoreResult>> Score(absl::Span<const ScorePair> /*pairs*/) override {
    return std::vector<ScoreResult>();
  }
  void Release(absl::Span<const Slot> slots) override { executor_->Release(slots); }

 private:
  std::unique_ptr<Executor> executor_;
};

TEST_F(FailureTest, AnExecutorThatForgetsResultsIsAnInternalErrorAndNotACrash) {
  loop_ = std::make_unique<ReplicaLoop>(std::make_unique<ForgetfulExecutor>(MakeScriptedExecutor(scripted_)), options_);
  const std::vector<Sequence> sequences = {Enqueue(3), Enqueue(3)};
  const Scored scored = EnqueueScore(2, 2);
  RunUntilIdle();
  EXPECT_EQ(sequences[0]->code(), absl::StatusCode::kInternal);
  EXPECT_THAT(sequences[1]->message(), HasSubstr("2 rows with 1 results"));
  EXPECT_EQ(scored->code(), absl::StatusCode::kInternal);
}

TEST_F(FailureTest, FailAllAnswersTheActiveTheWaitingAndThePairs) {
  options_.limits.max_rows = 1;
  options_.limits.max_score_share = 0;
  Start();
  const Sequence active = Enqueue(9);
  const Sequence waiting = Enqueue(9);
  const Scored pair = EnqueueScore(2, 2);
  loop_->RunOnce();
  const Sequence unseen = Enqueue(9);
  loop_->FailAll(absl::UnavailableError("gone"));
  for (const Sequence& sequence : {active, waiting, unseen})
    EXPECT_EQ(sequence->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(pair->code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(loop_->HasWork());
  const Sequence next = Enqueue(2);
  RunUntilIdle();
  EXPECT_TRUE(next->result->ok()) << "what comes later is served";
}

TEST_F(FailureTest, TheDestructorAnswersWhatIsLeftAndReleasesItsSlots) {
  Start();
  const Sequence active = Enqueue(9);
  loop_->RunOnce();
  const Sequence waiting = Enqueue(9);
  loop_.reset();
  EXPECT_EQ(active->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(waiting->code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(log_->calls(Call::Kind::kRelease).at(0).slots, ElementsAre(0));
}

TEST_F(FailureTest, ADoneMayEnqueueTheNext) {
  Start();
  auto second = std::make_shared<Answered<SequenceResult>>();
  SequenceRequest request = Request(2);
  request.done = [this, second](const absl::StatusOr<SequenceResult>& result) {
    EXPECT_TRUE(result.ok());
    SequenceRequest next = Request(3);
    next.done = Into(second);
    EXPECT_TRUE(loop_->Enqueue(std::move(next)).ok());
  };
  ASSERT_TRUE(loop_->Enqueue(std::move(request)).ok());
  RunUntilIdle();
  ASSERT_TRUE(second->done());
  EXPECT_TRUE(second->result->ok());
}

}  // namespace
}  // namespace petit::engine
