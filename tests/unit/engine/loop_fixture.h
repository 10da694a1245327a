// A ReplicaLoop on a scripted executor and a clock set by hand.
#ifndef PETIT_TESTS_UNIT_ENGINE_LOOP_FIXTURE_H_
#define PETIT_TESTS_UNIT_ENGINE_LOOP_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "models/engine/replica.h"
#include "tests/unit/engine/scripted_executor.h"

namespace petit::engine {

inline constexpr int kVocabSize = 64;

// What `done` was told; a second call is a test failure.
template <typename T>
struct Answered {
  std::optional<absl::StatusOr<T>> result;

  bool done() const { return result.has_value(); }
  absl::StatusCode code() const { return result->status().code(); }
  std::string message() const { return std::string(result->status().message()); }
  const T& value() const { return result->value(); }
};

template <typename T>
std::function<void(absl::StatusOr<T>)> Into(std::shared_ptr<Answered<T>> answered) {
  return [answered = std::move(answered)](absl::StatusOr<T> result) {
    EXPECT_FALSE(answered->done()) << "answered twice";
    answered->result = std::move(result);
  };
}

using Sequence = std::shared_ptr<Answered<SequenceResult>>;
using Scored = std::shared_ptr<Answered<ScoreResult>>;

inline CancelFlag MakeCancelFlag() { return std::make_shared<std::atomic<bool>>(false); }

class LoopTest : public ::testing::Test {
 protected:
  LoopTest() {
    scripted_.script = CopySourceScript(kVocabSize);
    scripted_.vocab_size = kVocabSize;
    scripted_.log = log_;
    options_.clock = [this] { return now_; };
  }

  // Call after changing scripted_ and options_.
  void Start() { loop_ = std::make_unique<ReplicaLoop>(MakeScriptedExecutor(scripted_), options_); }

  // `length` source ids, all `id`: copied, the sequence takes length + 1 steps.
  static SequenceRequest Request(int length, TokenId id = 7) {
    SequenceRequest request;
    request.source_ids.assign(length, id);
    request.options.max_new_tokens = length + 1;
    return request;
  }

  Sequence Enqueue(SequenceRequest request) {
    auto answered = std::make_shared<Answered<SequenceResult>>();
    request.done = Into(answered);
    const absl::Status status = loop_->Enqueue(std::move(request));
    EXPECT_TRUE(status.ok()) << status;
    return answered;
  }
  Sequence Enqueue(int length, TokenId id = 7) { return Enqueue(Request(length, id)); }

  // For requests that are to be refused.
  absl::Status TryEnqueue(SequenceRequest request) {
    request.done = [](const absl::StatusOr<SequenceResult>&) { ADD_FAILURE() << "done of a refused request"; };
    return loop_->Enqueue(std::move(request));
  }

  static ScoreRequest Pair(int source_tokens, int target_tokens) {
    ScoreRequest request;
    request.source_ids.assign(source_tokens, 7);
    request.target_ids.assign(target_tokens, 7);
    return request;
  }

  Scored EnqueueScore(ScoreRequest request) {
    auto answered = std::make_shared<Answered<ScoreResult>>();
    request.done = Into(answered);
    const absl::Status status = loop_->EnqueueScore(std::move(request));
    EXPECT_TRUE(status.ok()) << status;
    return answered;
  }
  Scored EnqueueScore(int source_tokens, int target_tokens) { return EnqueueScore(Pair(source_tokens, target_tokens)); }

  void RunUntilIdle() {
    for (int turns = 0; loop_->RunOnce(); ++turns) ASSERT_LT(turns, 1'000'000) << "the loop never rests";
    EXPECT_FALSE(loop_->HasWork());
  }

  std::vector<Call> Steps() const { return log_->calls(Call::Kind::kStep); }
  std::vector<Slot> LastStepSlots() const {
    const std::vector<Call> steps = Steps();
    return steps.empty() ? std::vector<Slot>() : steps.back().slots;
  }

  absl::Time now_ = absl::FromUnixSeconds(1000);
  ScriptedOptions scripted_;
  ReplicaOptions options_;
  std::shared_ptr<CallLog> log_ = std::make_shared<CallLog>();
  std::unique_ptr<ReplicaLoop> loop_;
};

}  // namespace petit::engine

#endif  // PETIT_TESTS_UNIT_ENGINE_LOOP_FIXTURE_H_
