// The promise: Score is Hugging Face's loss token by token, and KL(reference || model) over what a text can produce.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/unit/torch/fixture.h"

namespace petit::torch_executor {
namespace {

constexpr int kDistribution = 340;

engine::ScorePair Pair(const Ids& source, const Ids& target, const std::vector<float>& reference = {}) {
  engine::ScorePair pair;
  pair.source_ids = source;
  pair.target_ids = target;
  pair.reference_log_probs = reference;
  return pair;
}

struct Pairs {
  std::vector<Ids> sources;
  std::vector<Ids> targets;

  std::vector<engine::ScorePair> Views() const {
    std::vector<engine::ScorePair> views;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      views.push_back(Pair(sources[i], targets[i]));
    }
    return views;
  }
};

Pairs GoldenPairs(const nlohmann::json& golden) {
  Pairs pairs;
  for (const nlohmann::json& pair : golden["pairs"]) {
    pairs.sources.push_back(pair["source"]);
    pairs.targets.push_back(pair["target"]);
  }
  return pairs;
}

std::unique_ptr<engine::Executor> MakeScorer(const std::string& version, bool generic = false) {
  return MakeTiny(version, {.distribution_size = kDistribution, .force_generic_attention = generic});
}

std::vector<engine::ScoreResult> Score(engine::Executor& executor, const std::vector<engine::ScorePair>& pairs) {
  auto results = executor.Score(pairs);
  EXPECT_TRUE(results.ok()) << results.status();
  return results.ok() ? *std::move(results) : std::vector<engine::ScoreResult>(pairs.size());
}

void ExpectNear(const std::vector<float>& ours, const nlohmann::json& theirs, double tolerance,
                const std::string& what) {
  ASSERT_EQ(ours.size(), theirs.size()) << what;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    EXPECT_NEAR(ours[i], theirs[i].get<float>(), tolerance) << what << ", token " << i;
  }
}

class ScoreGolden : public testing::TestWithParam<bool> {};

TEST_P(ScoreGolden, TokensBlocksAndKlAreHuggingFaces) {
  const nlohmann::json golden = Golden("score");
  const Pairs pairs = GoldenPairs(golden);
  const std::vector<int> columns = golden["columns"];
  for (const auto& [reference, other] : {std::pair("v1_0", "v1_1"), std::pair("v1_1", "v1_0")}) {
    std::vector<engine::ScorePair> views = pairs.Views();
    for (engine::ScorePair& view : views) view.want_log_probs = true;
    const auto first = Score(*MakeScorer(reference, GetParam()), views);
    for (std::size_t i = 0; i < views.size(); ++i) {
      const nlohmann::json& expected = golden["pairs"][i][reference];
      ExpectNear(first[i].token_log_probs, expected["token_log_probs"], 1e-4, "token log-probabilities");
      EXPECT_TRUE(first[i].kl.empty());
      ASSERT_EQ(first[i].log_probs.size(), pairs.targets[i].size() * kDistribution);
      for (std::size_t token = 0; token < expected["log_probs"].size(); ++token) {
        std::vector<float> row;
        for (const int column : columns) row.push_back(first[i].log_probs[token * kDistribution + column]);
        ExpectNear(row, expected["log_probs"][token], 1e-4, "block");
      }
      views[i].want_log_probs = false;
      views[i].reference_log_probs = first[i].log_probs;
    }
    const auto second = Score(*MakeScorer(other, GetParam()), views);
    for (std::size_t i = 0; i < views.size(); ++i) {
      EXPECT_TRUE(second[i].log_probs.empty());
      ExpectNear(second[i].kl, golden["pairs"][i]["kl_" + std::string(reference) + "_" + other], 1e-4, "KL");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Paths, ScoreGolden, testing::Bool(),
                         [](const auto& info) { return info.param ? "Generic" : "Cpu"; });

TEST(Score, AModelDoesNotDivergeFromItself) {
  const Pairs pairs = GoldenPairs(Golden("score"));
  const auto executor = MakeScorer("v1_1");
  std::vector<engine::ScorePair> views = pairs.Views();
  for (engine::ScorePair& view : views) view.want_log_probs = true;
  const auto blocks = Score(*executor, views);
  for (std::size_t i = 0; i < views.size(); ++i) views[i].reference_log_probs = blocks[i].log_probs;
  const auto divergences = Score(*executor, views);
  for (const engine::ScoreResult& result : divergences) {
    EXPECT_THAT(result.kl, testing::Each(testing::Eq(0.0F)));
  }
  // In other company the rounding may differ, and no more than that.
  for (std::size_t i = 0; i < views.size(); ++i) {
    const std::vector<float> alone = Score(*executor, {views[i]})[0].kl;
    for (const float kl : alone) EXPECT_LT(std::abs(kl), 1e-6);
  }
}

TEST(Score, ManyPairsComeBackInTheirOrder) {
  const Pairs few = GoldenPairs(Golden("score"));
  Pairs many;
  for (int i = 0; i < 40; ++i) {  // several sub-batches: 40 pairs of up to 210 tokens
    many.sources.push_back(few.sources[i % few.sources.size()]);
    many.targets.push_back(few.targets[(i * 7 + i / 4) % few.targets.size()]);
  }
  const auto executor = MakeScorer("v1_0");
  const auto together = Score(*executor, many.Views());
  for (std::size_t i = 0; i < many.sources.size(); ++i) {
    const auto alone = Score(*executor, {many.Views()[i]})[0].token_log_probs;
    ASSERT_EQ(together[i].token_log_probs.size(), alone.size());
    for (std::size_t j = 0; j < alone.size(); ++j) EXPECT_NEAR(together[i].token_log_probs[j], alone[j], 1e-4);
  }
}

TEST(Score, AgreesWithTheStepsOfTheSameTarget) {
  const Pairs pairs = GoldenPairs(Golden("score"));
  const auto executor = MakeTiny("v1_1");
  const auto scored = Score(*executor, pairs.Views());
  Ids inputs = {0};
  inputs.insert(inputs.end(), pairs.targets[2].begin(), pairs.targets[2].end() - 1);
  const auto logits = ForcedLogits(*executor, {pairs.sources[2]}, inputs)[0];
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    double sum = 0;
    for (const float logit : logits[i]) sum += std::exp(static_cast<double>(logit));
    EXPECT_NEAR(scored[2].token_log_probs[i], logits[i][pairs.targets[2][i]] - std::log(sum), 1e-4);
  }
}

TEST(Score, LeavesSlotsAndRowsAlone) {
  const Pairs pairs = GoldenPairs(Golden("score"));
  const auto executor = MakeTiny("v1_0");
  const auto undisturbed = ForcedLogits(*executor, {pairs.sources[0]}, {0, 5})[0][1];
  AdmitAll(*executor, {pairs.sources[0]});
  std::vector<RowResult> results;
  const RowRequest start = WholeRow(0);
  ASSERT_TRUE(executor->Step(std::vector<engine::StepRow>{{0, -1, &start}}, &results).ok());
  Score(*executor, pairs.Views());
  const RowRequest next = WholeRow(5);
  ASSERT_TRUE(executor->Step(std::vector<engine::StepRow>{{0, 0, &next}}, &results).ok());
  EXPECT_EQ(Logits(results[0]), undisturbed);
}

TEST(Score, NothingToScoreIsNoError) {
  const auto executor = MakeTiny("v1_0");
  EXPECT_TRUE(Score(*executor, {}).empty());
  const Ids source = {5, 1};
  EXPECT_TRUE(Score(*executor, {Pair(source, {})})[0].token_log_probs.empty());
}

TEST(Score, SaysWhatIsWrongWithAPair) {
  const auto executor = MakeScorer("v1_0");
  const Ids good = {5, 1};
  const Ids bad = {5, 384};
  const std::vector<float> block(kDistribution + 1, 0.0F);
  const auto message = [&](const engine::ScorePair& pair) {
    const auto result = executor->Score({&pair, 1});
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(result.status().message());
  };
  EXPECT_THAT(message(Pair({}, good)), testing::HasSubstr("source of pair 0 is empty"));
  EXPECT_THAT(message(Pair(bad, good)), testing::HasSubstr("source id 384"));
  EXPECT_THAT(message(Pair(good, bad)), testing::HasSubstr("not in [0, 384)"));
  EXPECT_THAT(message(Pair(good, good, block)), testing::HasSubstr("it must have 680"));
}

}  // namespace
}  // namespace petit::torch_executor
