// The promise: greedy and beam search return what Hugging Face's generate() returns, alone and in company.
#include "tests/unit/torch/fixture.h"

namespace petit::torch_executor {
namespace {

decoding::EarlyStopping Early(const std::string& name) {
  if (name == "true") return decoding::EarlyStopping::kTrue;
  return name == "never" ? decoding::EarlyStopping::kNever : decoding::EarlyStopping::kFalse;
}

void ExpectSame(const std::vector<decoding::Hypothesis>& ours, const nlohmann::json& theirs, const std::string& where) {
  ASSERT_EQ(ours.size(), theirs.size()) << where;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    EXPECT_EQ(ours[i].ids, theirs[i]["ids"].get<Ids>()) << where << ", hypothesis " << i;
    if (theirs[i].contains("score")) {
      EXPECT_NEAR(ours[i].score, theirs[i]["score"].get<float>(), 1e-4) << where << ", hypothesis " << i;
    }
  }
}

class GenerateGolden : public testing::TestWithParam<std::tuple<const char*, bool>> {};

TEST_P(GenerateGolden, SameIdsAndScoresAloneAndBatched) {
  const auto [version, generic] = GetParam();
  const nlohmann::json golden = Golden(version)["generate"];
  const auto sources = golden["sources"].get<std::vector<Ids>>();
  const auto executor = MakeTiny(version, {.force_generic_attention = generic});
  for (const nlohmann::json& test : golden["cases"]) {
    decoding::DecodingOptions options;
    options.max_new_tokens = golden["max_new_tokens"];
    options.num_beams = test["num_beams"];
    options.num_return_sequences = options.num_beams;
    options.length_penalty = test["length_penalty"];
    options.early_stopping = Early(test["early_stopping"]);
    const std::string name = "beams " + test["num_beams"].dump() + ", length penalty " + test["length_penalty"].dump() +
                             ", early stopping " + test["early_stopping"].dump();
    const auto together = Decode(*executor, sources, options);
    ASSERT_EQ(together.size(), sources.size());
    for (std::size_t i = 0; i < sources.size(); ++i) {
      ExpectSame(together[i], test["results"][i], name + ", batched, source " + std::to_string(i));
      ExpectSame(Decode(*executor, {sources[i]}, options)[0], test["results"][i],
                 name + ", alone, source " + std::to_string(i));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, GenerateGolden, testing::Combine(testing::Values("v1_0", "v1_1"), testing::Bool()),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param)) + (std::get<1>(info.param) ? "Generic" : "");
                         });

}  // namespace
}  // namespace petit::torch_executor
