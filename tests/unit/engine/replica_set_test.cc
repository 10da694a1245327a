// Several replicas of one model. Executors hold their workers at a known place, so that what waits where is known.
#include "models/engine/replica_set.h"

#include <future>
#include <string>
#include <thread>
#include <utility>

#include "absl/synchronization/blocking_counter.h"
#include "tests/unit/engine/gate.h"
#include "tests/unit/engine/loop_fixture.h"

namespace petit::engine {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Result = absl::StatusOr<SequenceResult>;

class ReplicaSetTest : public ::testing::Test {
 protected:
  void Start(int count) {
    std::vector<std::unique_ptr<Replica>> replicas;
    for (int i = 0; i < count; ++i) {
      logs_.push_back(std::make_shared<CallLog>());
      scripted_.script = CopySourceScript(kVocabSize);
      scripted_.vocab_size = kVocabSize;
      scripted_.log = logs_.back();
      replicas.push_back(std::make_unique<Replica>(MakeScriptedExecutor(scripted_), options_));
    }
    set_ = std::make_unique<ReplicaSet>(std::move(replicas));
  }
  ~ReplicaSetTest() override { gate_.Open(); }

  static SequenceRequest Request(int length, TokenId id = 7, int beams = 1) {
    SequenceRequest request;
    request.source_ids.assign(length, id);
    request.options.max_new_tokens = length + 1;
    request.options.num_beams = beams;
    return request;
  }

  // A request of so many sequences, each with an answer to come.
  std::vector<std::future<Result>> Submit(int sequences, absl::Status* status, int beams = 1) {
    std::vector<std::future<Result>> answers;
    std::vector<SequenceRequest> requests;
    for (int i = 0; i < sequences; ++i) {
      auto promise = std::make_shared<std::promise<Result>>();
      answers.push_back(promise->get_future());
      requests.push_back(Request(2, static_cast<TokenId>(3 + i % 10), beams));
      requests.back().done = [promise](Result result) { promise->set_value(std::move(result)); };
    }
    *status = set_->Submit(std::move(requests));
    return answers;
  }
  std::vector<std::future<Result>> Submit(int sequences, int beams = 1) {
    absl::Status status;
    auto answers = Submit(sequences, &status, beams);
    EXPECT_TRUE(status.ok()) << status;
    return answers;
  }

  std::vector<std::int64_t> Work() {
    std::vector<std::int64_t> work;
    for (std::size_t i = 0; i < set_->size(); ++i) work.push_back(set_->replica(i).work());
    return work;
  }

  Gate gate_;
  ScriptedOptions scripted_;
  ReplicaOptions options_;
  std::vector<std::shared_ptr<CallLog>> logs_;
  std::unique_ptr<ReplicaSet> set_;
};

TEST_F(ReplicaSetTest, WhoHasLeastWorkGetsTheNext) {
  scripted_.before = gate_.At();
  Start(3);
  auto beams = Submit(1, /*beams=*/4);
  EXPECT_THAT(Work(), ElementsAre(4, 0, 0));
  auto one = Submit(1);
  auto another = Submit(1);
  EXPECT_THAT(Work(), ElementsAre(4, 1, 1));
  auto many = Submit(9);
  EXPECT_THAT(Work(), ElementsAre(5, 5, 5));
  gate_.Open();
  for (auto& answer : many) EXPECT_TRUE(answer.get().ok());
  EXPECT_TRUE(set_->Drain(absl::InfiniteFuture()));
  EXPECT_THAT(Work(), ElementsAre(0, 0, 0));
}

TEST_F(ReplicaSetTest, EachSequenceGetsItsOwnAnswer) {
  Start(3);
  auto answers = Submit(50);
  for (int i = 0; i < 50; ++i) {
    const Result result = answers[i].get();
    ASSERT_TRUE(result.ok());
    EXPECT_THAT(result->hypotheses[0].ids, ElementsAre(3 + i % 10, 3 + i % 10));
  }
  for (const auto& log : logs_) EXPECT_FALSE(log->calls(Call::Kind::kAdmit).empty());
}

TEST_F(ReplicaSetTest, ARequestGoesWhereThereIsRoomAsAWholeOrNotAtAll) {
  options_.limits.mode = BatchingMode::kOneAtATime;
  options_.limits.max_queue_length = 4;
  scripted_.before = gate_.At();
  Start(2);
  // Each worker holds one; the first's has many rows.
  auto wide = Submit(1, /*beams=*/4);
  gate_.WaitForArrivals(1);
  auto four = Submit(4);
  gate_.WaitForArrivals(2);
  ASSERT_THAT(Work(), ElementsAre(4, 4));
  auto two = Submit(2);
  ASSERT_THAT(Work(), ElementsAre(5, 5));  // now the second's queue is full, and the first's has room for three

  absl::Status status;
  auto refused = Submit(4, &status);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(
      std::string(status.message()),
      HasSubstr("5 sequences wait, this request adds 4, the limit is 8 (max_queue_length of each of 2 replicas)"));
  EXPECT_THAT(Work(), ElementsAre(5, 5));
  for (auto& answer : refused) EXPECT_THROW(answer.get(), std::future_error);  // `done` is gone, uncalled

  auto three = Submit(3);
  EXPECT_THAT(Work(), ElementsAre(8, 5));
  Submit(1, &status);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  gate_.Open();
  for (auto* answers : {&wide, &four, &two, &three}) {
    for (auto& answer : *answers) EXPECT_TRUE(answer.get().ok());
  }
}

TEST_F(ReplicaSetTest, WhatCouldNeverWaitIsRefusedWhateverTheLoad) {
  options_.limits.max_queue_length = 4;
  Start(3);
  absl::Status status;
  Submit(5, &status);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("a request of 5 sequences can never be queued: the limit is 4"));
}

TEST_F(ReplicaSetTest, TheSequenceAtFaultIsNamedByItsPlaceInTheRequest) {
  Start(2);
  std::vector<SequenceRequest> requests;
  for (int i = 0; i < 4; ++i) {
    requests.push_back(Request(i >= 2 ? 0 : 2));
    requests.back().done = [](const Result&) { ADD_FAILURE() << "done of a refused request"; };
  }
  const absl::Status status = set_->Submit(std::move(requests));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("sequence 2"), HasSubstr("empty")));
  EXPECT_THAT(Work(), ElementsAre(0, 0));
}

TEST_F(ReplicaSetTest, PairsAreShared) {
  scripted_.before = gate_.At();
  Start(2);
  absl::BlockingCounter missing(4);
  for (int i = 0; i < 4; ++i) {
    ScoreRequest request;
    request.source_ids = {7};
    request.target_ids = {7, 1};
    request.done = [&missing](const absl::StatusOr<ScoreResult>& result) {
      EXPECT_TRUE(result.ok());
      missing.DecrementCount();
    };
    ASSERT_TRUE(set_->SubmitScore(std::move(request)).ok());
  }
  EXPECT_THAT(Work(), ElementsAre(2, 2));
  gate_.Open();
  missing.Wait();
  EXPECT_TRUE(set_->Drain(absl::InfiniteFuture()));
  EXPECT_THAT(Work(), ElementsAre(0, 0));
}

TEST_F(ReplicaSetTest, ACancellationReachesAllItsSequences) {
  scripted_.before = gate_.At();
  Start(2);
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  std::vector<std::future<Result>> answers;
  std::vector<SequenceRequest> requests;
  for (int i = 0; i < 4; ++i) {
    auto promise = std::make_shared<std::promise<Result>>();
    answers.push_back(promise->get_future());
    requests.push_back(Request(2));
    requests.back().cancelled = cancelled;
    requests.back().done = [promise](Result result) { promise->set_value(std::move(result)); };
  }
  ASSERT_TRUE(set_->Submit(std::move(requests)).ok());
  gate_.WaitForArrivals(2);
  *cancelled = true;
  set_->NotifyCancelled();
  gate_.Open();
  for (auto& answer : answers) EXPECT_EQ(answer.get().status().code(), absl::StatusCode::kCancelled);
}

TEST_F(ReplicaSetTest, ADrainedSetTakesNothingMore) {
  Start(2);
  auto answers = Submit(8);
  EXPECT_TRUE(set_->Drain(absl::InfiniteFuture()));
  for (auto& answer : answers) EXPECT_TRUE(answer.get().ok());
  absl::Status status;
  Submit(3, &status);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
}

TEST_F(ReplicaSetTest, TheEndFailsWhatIsLeft) {
  options_.limits.mode = BatchingMode::kOneAtATime;
  scripted_.before = gate_.At();
  Start(2);
  auto answers = Submit(6);
  gate_.WaitForArrivals(2);
  std::thread end([this] { set_.reset(); });
  gate_.Open();
  end.join();
  for (auto& answer : answers) {
    const Result result = answer.get();
    EXPECT_TRUE(result.ok() || absl::IsUnavailable(result.status())) << result.status();
  }
}

TEST_F(ReplicaSetTest, ADoneMayDestroyItsSet) {
  Start(3);
  std::unique_ptr<ReplicaSet> set = std::move(set_);
  Gate submitted;
  Gate answered;
  answered.Open();
  std::vector<SequenceRequest> requests;
  for (int i = 0; i < 6; ++i) {
    requests.push_back(Request(2));
    requests.back().done = [&, i](const Result&) {
      submitted.Pass();
      if (i == 0) set.reset();
      answered.Pass();
    };
  }
  ASSERT_TRUE(set->Submit(std::move(requests)).ok());
  submitted.Open();
  answered.WaitForArrivals(6);
}

TEST_F(ReplicaSetTest, ManyThreadsSubmitAtTheSameTime) {
  options_.limits.max_queue_length = 8;
  options_.limits.max_rows = 4;
  scripted_.before = gate_.At();
  Start(3);
  constexpr int kThreads = 8;
  constexpr int kRequests = 200;
  std::atomic<int> answered = 0;
  std::atomic<int> accepted = 0;
  std::atomic<int> refused = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int r = 0; r < kRequests; ++r) {
        if (t == 0 && r == kRequests / 2) gate_.Open();
        std::vector<SequenceRequest> requests;
        for (int i = 0; i <= (t + r) % 5; ++i) {
          requests.push_back(Request(1));
          requests.back().done = [&answered](const Result& result) {
            EXPECT_TRUE(result.ok());
            ++answered;
          };
        }
        const int size = static_cast<int>(requests.size());
        (set_->Submit(std::move(requests)).ok() ? accepted : refused) += size;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(set_->Drain(absl::InfiniteFuture()));
  EXPECT_EQ(answered, accepted);
  EXPECT_GT(accepted, 0);
  EXPECT_GT(refused, 0);  // before the gate was opened one thread alone had asked for far more than there is room for
  EXPECT_THAT(Work(), ElementsAre(0, 0, 0));
}

}  // namespace
}  // namespace petit::engine
