// The loop on its thread. Where a test needs the worker at a known place, the executor holds it there.
#include "models/engine/replica.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <future>
#include <mutex>
#include <thread>

#include "tests/unit/engine/gate.h"
#include "tests/unit/engine/loop_fixture.h"

namespace petit::engine {
namespace {

using ::testing::ElementsAre;

using Result = absl::StatusOr<SequenceResult>;

class ReplicaTest : public ::testing::Test {
 protected:
  ReplicaTest() {
    scripted_.script = CopySourceScript(kVocabSize);
    scripted_.vocab_size = kVocabSize;
    scripted_.log = log_;
  }

  void Start() { replica_ = std::make_unique<Replica>(MakeScriptedExecutor(scripted_), options_); }

  static SequenceRequest Request(int length) {
    SequenceRequest request;
    request.source_ids.assign(length, 7);
    request.options.max_new_tokens = length + 1;
    return request;
  }

  std::future<Result> Submit(SequenceRequest request) {
    auto promise = std::make_shared<std::promise<Result>>();
    std::future<Result> future = promise->get_future();
    request.done = [promise](Result result) { promise->set_value(std::move(result)); };
    const absl::Status status = replica_->Submit(std::move(request));
    EXPECT_TRUE(status.ok()) << status;
    return future;
  }

  Gate gate_;
  ScriptedOptions scripted_;
  ReplicaOptions options_;
  std::shared_ptr<CallLog> log_ = std::make_shared<CallLog>();
  std::unique_ptr<Replica> replica_;
};

TEST_F(ReplicaTest, AnIdleReplicaEndsAtOnce) {
  Start();
  EXPECT_EQ(replica_->info().executor, "SCRIPTED");
  replica_.reset();
  EXPECT_EQ(log_->calls().size(), 0U);
}

TEST_F(ReplicaTest, WakesForEachOfManySubmissions) {
  Start();
  for (int i = 0; i < 100; ++i) {
    const Result result = Submit(Request(3)).get();
    ASSERT_TRUE(result.ok());
    ASSERT_THAT(result->hypotheses[0].ids, ElementsAre(7, 7, 7));
  }
}

TEST_F(ReplicaTest, ScoresWithoutSequences) {
  Start();
  std::promise<absl::StatusOr<ScoreResult>> promise;
  ScoreRequest request;
  request.source_ids = {7};
  request.target_ids = {7, 1};
  request.done = [&promise](absl::StatusOr<ScoreResult> result) { promise.set_value(std::move(result)); };
  ASSERT_TRUE(replica_->SubmitScore(std::move(request)).ok());
  const auto result = promise.get_future().get();
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->token_log_probs.size(), 2U);
}

TEST_F(ReplicaTest, SubmitDoesNotWaitForTheStepInProgress) {
  scripted_.before = gate_.At(Call::Kind::kStep);
  Start();
  std::future<Result> first = Submit(Request(2));
  gate_.WaitForArrivals(1);
  std::future<Result> second = Submit(Request(2));  // would hang here
  gate_.Open();
  EXPECT_TRUE(first.get().ok());
  EXPECT_TRUE(second.get().ok());
}

TEST_F(ReplicaTest, ACancellationIsSeenBeforeTheNextStep) {
  scripted_.before = gate_.At(Call::Kind::kStep);
  Start();
  SequenceRequest request = Request(50);
  request.cancelled = MakeCancelFlag();
  const CancelFlag flag = request.cancelled;
  std::future<Result> cancelled = Submit(request);
  gate_.WaitForArrivals(1);
  *flag = true;
  replica_->Wake();
  gate_.Open();
  EXPECT_EQ(cancelled.get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(log_->calls(Call::Kind::kStep).size(), 1U);
}

TEST_F(ReplicaTest, TheDestructorFailsWhatIsLeft) {
  scripted_.before = gate_.At(Call::Kind::kStep);
  options_.limits.max_rows = 1;
  Start();
  std::future<Result> active = Submit(Request(50));
  std::future<Result> waiting = Submit(Request(50));
  gate_.WaitForArrivals(1);
  std::thread destroyer([this] { replica_.reset(); });
  gate_.Open();
  destroyer.join();
  const Result result = active.get();
  EXPECT_TRUE(result.ok() || result.status().code() == absl::StatusCode::kUnavailable);
  const Result second = waiting.get();
  EXPECT_TRUE(second.ok() || second.status().code() == absl::StatusCode::kUnavailable);
}

TEST_F(ReplicaTest, DrainWaitsForTheAcceptedAndRefusesNewcomers) {
  scripted_.before = gate_.At(Call::Kind::kStep);
  Start();
  std::future<Result> accepted = Submit(Request(20));
  gate_.WaitForArrivals(1);
  std::future<bool> drained =
      std::async(std::launch::async, [this] { return replica_->Drain(absl::InfiniteFuture()); });
  // Until Drain has begun on its thread; a full queue is no answer yet.
  for (bool stopping = false; !stopping;) {
    SequenceRequest request = Request(1);
    request.done = [](const Result&) {};
    stopping = replica_->Submit(std::move(request)).code() == absl::StatusCode::kUnavailable;
    std::this_thread::yield();
  }
  gate_.Open();
  EXPECT_TRUE(drained.get());
  EXPECT_EQ(accepted.wait_for(std::chrono::seconds(0)), std::future_status::ready) << "drained means answered";
  EXPECT_TRUE(accepted.get().ok());
  EXPECT_TRUE(replica_->Drain(absl::InfiniteFuture())) << "again is harmless";
}

TEST_F(ReplicaTest, DrainGivesUpAtItsDeadline) {
  scripted_.before = gate_.At(Call::Kind::kStep);
  Start();
  std::future<Result> accepted = Submit(Request(2));
  gate_.WaitForArrivals(1);
  EXPECT_FALSE(replica_->Drain(absl::Now()));
  EXPECT_FALSE(replica_->Drain(absl::InfinitePast()));
  gate_.Open();
  EXPECT_TRUE(accepted.get().ok()) << "what was accepted is served all the same";
}

TEST_F(ReplicaTest, DrainOfAnIdleReplicaIsDone) {
  Start();
  EXPECT_TRUE(replica_->Drain(absl::InfiniteFuture()));
}

// The last user of an unloaded model holds the last handle, and lets go of it in a `done`.
TEST_F(ReplicaTest, ADoneMayDestroyItsReplica) {
  auto held =
      std::make_shared<std::shared_ptr<Replica>>(std::make_shared<Replica>(MakeScriptedExecutor(scripted_), options_));
  std::promise<absl::StatusCode> first;
  std::promise<absl::StatusCode> second;
  Replica* replica = held->get();
  std::vector<SequenceRequest> requests = {Request(1), Request(30)};
  requests[0].done = [held, &first](const Result& result) {
    held->reset();
    first.set_value(result.status().code());
  };
  requests[1].done = [&second](const Result& result) { second.set_value(result.status().code()); };
  ASSERT_TRUE(replica->Submit(std::move(requests)).ok());
  held.reset();
  EXPECT_EQ(first.get_future().get(), absl::StatusCode::kOk);
  EXPECT_EQ(second.get_future().get(), absl::StatusCode::kUnavailable);
}

TEST_F(ReplicaTest, EveryRequestIsAnsweredExactlyOnceWhateverHappens) {
  constexpr std::size_t kThreads = 4;
  constexpr std::size_t kPerThread = 150;
  options_.limits.max_rows = 8;
  options_.limits.max_queue_length = 20;
  for (int round = 0; round < 3; ++round) {
    Start();
    std::vector<std::atomic<int>> answers(2 * kThreads * kPerThread);
    std::vector<CancelFlag> flags(kThreads * kPerThread);
    for (CancelFlag& flag : flags) flag = MakeCancelFlag();
    std::atomic<int> accepted = 0;
    // A refused request is answered by its refusal.
    const auto count = [&accepted](const absl::Status& status, std::atomic<int>& answer) {
      if (status.ok()) {
        ++accepted;
      } else {
        ++answer;
        EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
      }
    };
    std::vector<std::thread> threads;
    threads.reserve(kThreads);
    for (std::size_t thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (std::size_t i = thread * kPerThread; i < (thread + 1) * kPerThread; ++i) {
          SequenceRequest request = Request(1 + static_cast<int>(i % 7));
          request.cancelled = flags[i];
          request.done = [&answer = answers[2 * i]](const Result&) { ++answer; };
          if (i % 5 == 0) request.deadline = absl::Now();
          count(replica_->Submit(std::move(request)), answers[2 * i]);

          ScoreRequest pair;
          pair.source_ids = {7};
          pair.target_ids = {7, 1};
          pair.cancelled = flags[i];
          pair.done = [&answer = answers[2 * i + 1]](const absl::StatusOr<ScoreResult>&) { ++answer; };
          count(replica_->SubmitScore(std::move(pair)), answers[2 * i + 1]);

          if (i % 3 == 0) {
            *flags[i] = true;
            replica_->Wake();
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (round == 0) {
      EXPECT_TRUE(replica_->Drain(absl::InfiniteFuture()));
    }
    std::thread canceller([&flags] {
      for (const CancelFlag& flag : flags) *flag = true;
    });
    replica_.reset();
    canceller.join();
    EXPECT_GT(accepted, 0);
    for (const std::atomic<int>& answer : answers) EXPECT_EQ(answer, 1);
  }
}

}  // namespace
}  // namespace petit::engine
