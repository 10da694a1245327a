// One flow's flood does not keep another's few requests waiting.
#include <algorithm>

#include "tests/unit/engine/loop_fixture.h"

namespace petit::engine {
namespace {

using ::testing::HasSubstr;

constexpr Flow kFlood = 5;
constexpr Flow kPolite = 9;
constexpr Flow kOther = 2;

class FairnessTest : public LoopTest {
 protected:
  static SequenceRequest Of(Flow flow, int length = 3) {
    SequenceRequest request = Request(length);
    request.flow = flow;
    return request;
  }
  static ScoreRequest PairOf(Flow flow) {
    ScoreRequest request = Pair(2, 2);
    request.flow = flow;
    return request;
  }
  // Turns of the loop until it is answered.
  int TurnsUntil(const Sequence& sequence) {
    int turns = 0;
    for (; !sequence->done(); ++turns) EXPECT_TRUE(loop_->RunOnce());
    return turns;
  }
};

TEST_F(FairnessTest, AnothersTextIsAdmittedNext) {
  options_.limits.max_rows = 1;
  Start();
  std::vector<Sequence> flood;
  for (int i = 0; i < 20; ++i) flood.push_back(Enqueue(Of(kFlood)));
  loop_->RunOnce();
  const Sequence polite = Enqueue(Of(kPolite));
  EXPECT_LE(TurnsUntil(polite), 8);  // the rest of the first, and its own four steps
  EXPECT_TRUE(flood[0]->done());
  EXPECT_FALSE(flood[1]->done());
  RunUntilIdle();
}

TEST_F(FairnessTest, FlowsTakeTurnsOneSequenceEach) {
  options_.limits.max_rows = 1;
  Start();
  std::vector<Sequence> flood;
  for (int i = 0; i < 6; ++i) flood.push_back(Enqueue(Of(kFlood)));
  loop_->RunOnce();
  std::vector<Sequence> others;
  for (int i = 0; i < 2; ++i) {
    others.push_back(Enqueue(Of(kPolite)));
    others.push_back(Enqueue(Of(kOther)));
  }
  TurnsUntil(others[3]);
  EXPECT_TRUE(others[0]->done());
  EXPECT_TRUE(others[1]->done());
  EXPECT_TRUE(others[2]->done());
  EXPECT_TRUE(flood[1]->done());
  EXPECT_FALSE(flood[3]->done());
  RunUntilIdle();
}

TEST_F(FairnessTest, ABigSequenceKeepsItsTurnUntilThereIsRoom) {
  options_.limits.max_rows = 4;
  Start();
  SequenceRequest big = Of(kPolite, 2);
  big.options.num_beams = 4;
  std::vector<Sequence> flood;
  for (int i = 0; i < 4; ++i) flood.push_back(Enqueue(Of(kFlood, 3 + i)));
  loop_->RunOnce();
  const Sequence waiting = Enqueue(big);
  for (int i = 0; i < 8; ++i) flood.push_back(Enqueue(Of(kFlood)));
  TurnsUntil(waiting);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(flood[i]->done());
  const std::vector<Call> admits = log_->calls(Call::Kind::kAdmit);
  ASSERT_GE(admits.size(), 2U);
  EXPECT_EQ(admits[1].source_tokens.front(), 2) << "the big one is the next";
  EXPECT_EQ(admits[1].source_tokens.size(), 3U) << "the flood has half of the rows beside it";
  RunUntilIdle();
}

TEST_F(FairnessTest, AFullQueueHasRoomForAnothersShare) {
  options_.limits.max_queue_length = 4;
  options_.limits.max_rows = 1;
  Start();
  for (int i = 0; i < 4; ++i) Enqueue(Of(kFlood));
  EXPECT_EQ(TryEnqueue(Of(kFlood)).code(), absl::StatusCode::kResourceExhausted);
  Enqueue(Of(kPolite));
  Enqueue(Of(kPolite));
  const absl::Status over = TryEnqueue(Of(kPolite));  // half of four is two
  EXPECT_EQ(over.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(over.message()), HasSubstr("6 sequences wait, this request adds 1, the limit is 4"));
  Enqueue(Of(kOther));  // a third
  EXPECT_EQ(TryEnqueue(Of(kOther)).code(), absl::StatusCode::kResourceExhausted);
  Enqueue(Of(77));  // a quarter
  EXPECT_EQ(TryEnqueue(Of(78)).code(), absl::StatusCode::kResourceExhausted) << "twice the limit is the end";
  RunUntilIdle();
  for (int i = 0; i < 4; ++i) Enqueue(Of(kFlood));
  EXPECT_EQ(TryEnqueue(Of(kFlood)).code(), absl::StatusCode::kResourceExhausted) << "all have left";
  RunUntilIdle();
}

TEST_F(FairnessTest, TheSharedBytesLikewise) {
  options_.limits.max_queue_bytes = 40 * static_cast<std::int64_t>(sizeof(TokenId));
  options_.limits.max_rows = 1;
  Start();
  Enqueue(Of(kFlood, 40));
  EXPECT_EQ(TryEnqueue(Of(kFlood, 1)).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(TryEnqueue(Of(kPolite, 21)).code(), absl::StatusCode::kResourceExhausted);
  Enqueue(Of(kPolite, 20));
  RunUntilIdle();
}

// The promise itself, in the time of a replica whose steps take 3 ms and half a millisecond for each row, and whose
// encoder takes 0.1 ms for each token: a polite client's texts, sent whatever comes back, beside a client that keeps
// the queue full.
class SlowdownTest : public FairnessTest {
 protected:
  SlowdownTest() {
    options_.limits.max_rows = 32;
    scripted_.before = [this](const Call& call) {
      if (call.kind == Call::Kind::kStep) now_ += absl::Milliseconds(3) + call.rows.size() * absl::Microseconds(500);
      for (const int tokens : call.source_tokens) now_ += tokens * absl::Microseconds(100);
      return absl::OkStatus();
    };
  }

  // The latency that one in a hundred exceeds, of 500 texts, one each 70 ms. `flood`: texts of the other that wait.
  absl::Duration P99(int flood) {
    Start();
    int in_flight = 0;
    int length = 0;
    const auto refill = [&] {
      for (; in_flight < flood; ++in_flight) {
        SequenceRequest request = Of(kFlood, 4 + (length += 7) % 23);
        request.done = [&](const absl::StatusOr<SequenceResult>& result) {
          EXPECT_TRUE(result.ok()) << result.status();
          --in_flight;
        };
        EXPECT_TRUE(loop_->Enqueue(std::move(request)).ok());
      }
    };
    refill();
    for (int i = 0; i < 100 && flood > 0; ++i) {
      loop_->RunOnce();
      refill();
    }
    std::vector<absl::Duration> latencies;
    absl::Time next = now_;
    for (int i = 0; i < 500; ++i, next += absl::Milliseconds(70)) {
      while (now_ < next) {
        if (!loop_->RunOnce()) now_ = next;
        refill();
      }
      SequenceRequest request = Of(kPolite, 4 + i % 23);
      request.done = [&, sent = next](const absl::StatusOr<SequenceResult>& result) {
        EXPECT_TRUE(result.ok()) << result.status();
        latencies.push_back(now_ - sent);
      };
      EXPECT_TRUE(loop_->Enqueue(std::move(request)).ok());
    }
    flood = 0;
    RunUntilIdle();
    EXPECT_EQ(latencies.size(), 500U);
    std::sort(latencies.begin(), latencies.end());
    return latencies[latencies.size() * 99 / 100];
  }
};

TEST_F(SlowdownTest, AFloodLeavesAPoliteClientsP99WithinTwice) {
  const absl::Duration alone = P99(0);
  const absl::Duration beside = P99(200);
  EXPECT_LE(beside, 2 * alone) << absl::FDivDuration(beside, alone);
}

TEST_F(SlowdownTest, WithoutHoldingItIsMoreThanThreeTimes) {
  options_.limits.max_hold_back = 1;
  const absl::Duration alone = P99(0);
  const absl::Duration beside = P99(200);
  EXPECT_GT(beside, 3 * alone) << absl::FDivDuration(beside, alone);
}

TEST_F(SlowdownTest, AFailedStepTellsNothingOfWhatStepsCost) {
  const auto costly = scripted_.before;
  scripted_.before = [this, costly](const Call& call) {
    if (call.kind != Call::Kind::kStep || call.index != 20) return costly(call);
    now_ += absl::Microseconds(1);
    return absl::InternalError("nearly at once");
  };
  Start();
  for (int i = 0; i < 32; ++i) Enqueue(Of(kFlood, 50));
  while (Steps().size() <= 20) loop_->RunOnce();
  const Sequence polite = Enqueue(Of(kPolite, 20));
  while (!polite->done()) loop_->RunOnce();  // what one row costs is known
  for (int i = 0; i < 32; ++i) Enqueue(Of(kFlood, 50));
  for (int i = 0; i < 3; ++i) loop_->RunOnce();
  const std::size_t before = Steps().size();
  Enqueue(Of(kPolite, 20));
  for (int i = 0; i < 10; ++i) loop_->RunOnce();
  int held = 0;
  for (const Call& step : Steps()) held += step.index >= static_cast<int>(before) && !step.held.empty() ? 1 : 0;
  EXPECT_EQ(held, 9) << "a full step, and then as many of one row as take twice as long";
  RunUntilIdle();
}

TEST_F(FairnessTest, PairsTakeTurnsToo) {
  options_.limits.max_score_tokens_per_chunk = 4;
  Start();
  std::vector<Scored> flood;
  for (int i = 0; i < 10; ++i) flood.push_back(EnqueueScore(PairOf(kFlood)));
  loop_->RunOnce();
  const Scored polite = EnqueueScore(PairOf(kPolite));
  loop_->RunOnce();
  EXPECT_TRUE(flood[0]->done());
  EXPECT_TRUE(polite->done());
  EXPECT_FALSE(flood[1]->done());
  RunUntilIdle();
}

}  // namespace
}  // namespace petit::engine
