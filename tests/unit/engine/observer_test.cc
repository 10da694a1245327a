// What a replica tells its observer, and the times it tells its callers.
#include <map>

#include "tests/unit/engine/loop_fixture.h"

namespace petit::engine {
namespace {

class Counting : public ReplicaObserver {
 public:
  void OnQueueLength(int sequences) override { queue = sequences; }
  void OnActive(int sequences) override { active = sequences; }
  void OnRejected(std::string_view reason) override { ++rejected[std::string(reason)]; }
  void OnAdmitted(absl::Duration queued, int source_tokens) override {
    ++admitted;
    queue_time += queued;
    sources += source_tokens;
  }
  void OnStep(absl::Duration took, int sequences, int rows) override {
    ++steps;
    step_time += took;
    most_sequences = std::max(most_sequences, sequences);
    most_rows = std::max(most_rows, rows);
  }
  void OnHeld(int sequences) override { held += sequences; }
  void OnFirstToken(absl::Duration since_submission) override {
    ++first_tokens;
    first_token_time += since_submission;
  }
  void OnFinished(const absl::Status& status, int target_tokens) override {
    ++finished[status.code()];
    targets += target_tokens;
  }

  int queue = -1;
  int active = -1;
  int admitted = 0;
  int sources = 0;
  int steps = 0;
  int most_sequences = 0;
  int most_rows = 0;
  int held = 0;
  int first_tokens = 0;
  int targets = 0;
  absl::Duration queue_time;
  absl::Duration step_time;
  absl::Duration first_token_time;
  std::map<std::string, int> rejected;
  std::map<absl::StatusCode, int> finished;
};

class ObserverTest : public LoopTest {
 protected:
  ObserverTest() {
    options_.observer = observer_;
    scripted_.before = [this](const Call& call) {
      now_ += absl::Milliseconds(call.kind == Call::Kind::kAdmit ? 5 : 10);
      return absl::OkStatus();
    };
  }

  std::shared_ptr<Counting> observer_ = std::make_shared<Counting>();
};

TEST_F(ObserverTest, ASequencesTimesAddUp) {
  Start();
  const Sequence sequence = Enqueue(3);
  now_ += absl::Milliseconds(100);
  RunUntilIdle();
  const SequenceTiming& timing = sequence->value().timing;
  EXPECT_EQ(timing.queue, absl::Milliseconds(100));
  EXPECT_EQ(timing.encode, absl::Milliseconds(5));
  EXPECT_EQ(timing.first_token, absl::Milliseconds(115));
  EXPECT_EQ(timing.total, absl::Milliseconds(145));
  EXPECT_EQ(observer_->queue_time, timing.queue);
  EXPECT_EQ(observer_->first_token_time, timing.first_token);
  EXPECT_EQ(observer_->step_time, absl::Milliseconds(40));
  EXPECT_EQ(observer_->steps, 4);
  EXPECT_EQ(observer_->sources, 3);
  EXPECT_EQ(observer_->targets, 4) << "EOS counts";
}

TEST_F(ObserverTest, GaugesReturnToZeroAndEverySequenceIsCountedOnce) {
  options_.limits.max_rows = 4;
  scripted_.max_slots = 3;
  Start();
  const CancelFlag flag = MakeCancelFlag();
  SequenceRequest cancelled = Request(9);
  cancelled.cancelled = flag;
  SequenceRequest expiring = Request(9);
  expiring.deadline = now_ + absl::Milliseconds(1);
  Enqueue(cancelled);
  Enqueue(2);
  SequenceRequest beams = Request(4);
  beams.options.num_beams = 2;
  Enqueue(beams);
  EXPECT_EQ(observer_->queue, 3);
  loop_->RunOnce();
  EXPECT_EQ(observer_->queue, 0);
  EXPECT_EQ(observer_->active, 3);
  Enqueue(expiring);
  *flag = true;
  RunUntilIdle();
  Enqueue(1);
  Enqueue(1);
  Enqueue(1);
  Enqueue(1);
  RunUntilIdle();
  Enqueue(6);
  loop_->RunOnce();
  loop_->FailAll(absl::UnavailableError("stop"));
  EXPECT_EQ(observer_->queue, 0);
  EXPECT_EQ(observer_->active, 0);
  EXPECT_EQ(observer_->finished[absl::StatusCode::kOk], 5);
  EXPECT_EQ(observer_->finished[absl::StatusCode::kCancelled], 1);
  EXPECT_EQ(observer_->finished[absl::StatusCode::kDeadlineExceeded], 1);
  EXPECT_EQ(observer_->finished[absl::StatusCode::kResourceExhausted], 1) << "four came to a device of three";
  EXPECT_EQ(observer_->finished[absl::StatusCode::kUnavailable], 1);
  EXPECT_EQ(observer_->admitted, 7);
  EXPECT_EQ(observer_->first_tokens, 7);
  EXPECT_EQ(observer_->most_sequences, 3);
  EXPECT_EQ(observer_->most_rows, 3);
  EXPECT_EQ(observer_->rejected["deadline"], 1);
}

TEST_F(ObserverTest, TheHeldAreCountedOnceAStep) {
  scripted_.before = [this](const Call& call) {
    now_ += absl::Milliseconds(call.rows.size());
    return absl::OkStatus();
  };
  Start();
  for (int i = 0; i < 32; ++i) Enqueue(40);
  loop_->RunOnce();
  SequenceRequest other = Request(20);
  other.flow = 1;
  Enqueue(other);
  RunUntilIdle();
  int held = 0;
  for (const Call& step : Steps()) held += static_cast<int>(step.held.size());
  EXPECT_GT(held, 0);
  EXPECT_EQ(observer_->held, held);
}

TEST_F(ObserverTest, RefusalsAreCountedByReason) {
  options_.limits.max_queue_length = 1;
  options_.limits.max_rows = 2;
  options_.limits.max_queue_bytes = 40;
  Start();
  EXPECT_FALSE(TryEnqueue(SequenceRequest()).ok());
  SequenceRequest wide = Request(1);
  wide.options.num_beams = 3;
  EXPECT_FALSE(TryEnqueue(wide).ok());
  Enqueue(1);
  EXPECT_FALSE(TryEnqueue(Request(1)).ok());
  EXPECT_EQ(observer_->queue, 1);
  loop_->StopAccepting();
  EXPECT_FALSE(TryEnqueue(Request(1)).ok());
  EXPECT_EQ(observer_->rejected,
            (std::map<std::string, int>{{"invalid", 1}, {"too_large", 1}, {"queue_length", 1}, {"stopping", 1}}));
  RunUntilIdle();
}

}  // namespace
}  // namespace petit::engine
