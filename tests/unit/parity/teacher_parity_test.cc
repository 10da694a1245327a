// The demo teacher, FP32, against what Hugging Face generated (tests/data/parity): token ids, one sentence at a time
// and in the company of 31 others.
#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/checkpoint/checkpoint.h"
#include "models/engine/replica.h"
#include "models/torch/torch_executor.h"

namespace petit {
namespace {

using decoding::TokenId;

constexpr TokenId kEos = 1;

struct Case {
  std::vector<TokenId> source_ids;
  std::vector<TokenId> ids;  // EOS included
  std::vector<float> gaps;   // best logit less the second best, at each step
};

std::vector<Case> ReadCases() {
  std::ifstream file(PETIT_SOURCE_DIR "/tests/data/parity/teacher_greedy.json");
  const auto golden = nlohmann::json::parse(file);
  std::vector<Case> cases;
  for (const auto& c : golden.at("cases")) {
    cases.push_back({c.at("source_ids"), c.at("ids"), c.at("gaps")});
  }
  return cases;
}

class TeacherParity : public testing::Test {
 protected:
  void SetUp() override {
    auto checkpoint = checkpoint::Checkpoint::Open(PETIT_SOURCE_DIR "/deploy/demo/models/teacher");
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    auto executor = torch_executor::MakeTorchExecutor(*checkpoint, {});
    ASSERT_TRUE(executor.ok()) << executor.status();
    engine::ReplicaOptions options;
    options.limits.max_rows = 32;
    replica_ = std::make_unique<engine::Replica>(*std::move(executor), options);
  }

  std::future<std::vector<TokenId>> Submit(const Case& c) {
    auto promise = std::make_shared<std::promise<std::vector<TokenId>>>();
    engine::SequenceRequest request;
    request.source_ids = c.source_ids;
    request.options.max_new_tokens = 128;
    request.done = [promise](absl::StatusOr<engine::SequenceResult> result) {
      std::vector<TokenId> ids;
      if (result.ok()) {
        ids = result->hypotheses[0].ids;
        if (result->hypotheses[0].finish_reason == decoding::FinishReason::kEos) ids.push_back(kEos);
      }
      promise->set_value(ids);
    };
    const absl::Status status = replica_->Submit(std::move(request));
    EXPECT_TRUE(status.ok()) << status;
    return promise->get_future();
  }

  std::unique_ptr<engine::Replica> replica_;
};

TEST_F(TeacherParity, GreedyIdsAreHuggingFacesOneAtATime) {
  const std::vector<Case> cases = ReadCases();
  ASSERT_EQ(cases.size(), 200);
  for (const Case& c : cases) EXPECT_EQ(Submit(c).get(), c.ids);
}

TEST_F(TeacherParity, GreedyIdsAreHuggingFacesAmong32AtOnce) {
  const std::vector<Case> cases = ReadCases();
  std::vector<std::future<std::vector<TokenId>>> futures;
  for (const Case& c : cases) futures.push_back(Submit(c));
  int different = 0;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const std::vector<TokenId> ids = futures[i].get();
    if (ids == cases[i].ids) continue;
    ++different;
    std::size_t step = 0;
    while (step < ids.size() && step < cases[i].ids.size() && ids[step] == cases[i].ids[step]) ++step;
    ASSERT_LT(step, cases[i].gaps.size());
    EXPECT_LT(cases[i].gaps[step], 1e-3) << "sentence " << i << " differs at step " << step << " without excuse";
  }
  EXPECT_LE(different, 1);
}

}  // namespace
}  // namespace petit
