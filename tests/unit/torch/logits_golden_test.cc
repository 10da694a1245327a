// The promise: the logits are Hugging Face's, in each precision as far as that precision can promise.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/unit/torch/fixture.h"

namespace petit::torch_executor {
namespace {

struct Difference {
  double worst = 0;  // of any compared value
  double mean = 0;   // absolute, over all compared values
  int other_argmax = 0;
  int rows = 0;
};

double LogSumExp(const std::vector<float>& values) {
  double sum = 0;
  const float highest = *std::max_element(values.begin(), values.end());
  for (const float value : values) sum += std::exp(static_cast<double>(value) - highest);
  return highest + std::log(sum);
}

// Compares [source][step][id] with what the golden keeps.
Difference Compare(const std::vector<std::vector<std::vector<float>>>& logits, const nlohmann::json& golden,
                   const std::vector<int>& columns) {
  Difference difference;
  int compared = 0;
  EXPECT_EQ(logits.size(), golden.size());
  for (std::size_t i = 0; i < golden.size(); ++i) {
    EXPECT_EQ(logits[i].size(), golden[i]["lse"].size());
    if (logits[i].size() != golden[i]["lse"].size()) return difference;
    for (std::size_t step = 0; step < golden[i]["lse"].size(); ++step) {
      const std::vector<float>& row = logits[i][step];
      const auto note = [&](double ours, double theirs) {
        difference.worst = std::max(difference.worst, std::abs(ours - theirs));
        difference.mean += std::abs(ours - theirs);
        ++compared;
      };
      for (std::size_t c = 0; c < columns.size(); ++c) {
        note(row[columns[c]], golden[i]["columns"][step][c].get<double>());
      }
      note(LogSumExp(row), golden[i]["lse"][step].get<double>());
      const auto best = std::max_element(row.begin(), row.end()) - row.begin();
      difference.other_argmax += best != golden[i]["argmax"][step].get<int>() ? 1 : 0;
      ++difference.rows;
    }
  }
  difference.mean /= compared;
  return difference;
}

class LogitsGolden : public testing::TestWithParam<const char*> {
 protected:
  LogitsGolden()
      : golden_(Golden(GetParam())),
        columns_(golden_["columns"]),
        sources_(golden_["sources"].get<std::vector<Ids>>()),
        inputs_(golden_["decoder_inputs"].get<Ids>()) {}

  // The sources of the 16-bit and INT8 goldens, each decoded alone.
  std::vector<std::vector<std::vector<float>>> LongSourcesAlone(engine::Executor& executor) const {
    std::vector<std::vector<std::vector<float>>> logits;
    for (std::size_t i = 1; i < sources_.size(); ++i) {
      logits.push_back(ForcedLogits(executor, {sources_[i]}, inputs_)[0]);
    }
    return logits;
  }

  const nlohmann::json golden_;
  const std::vector<int> columns_;
  const std::vector<Ids> sources_;
  const Ids inputs_;
};

TEST_P(LogitsGolden, Fp32IsWithin1em4Alone) {
  const auto executor = MakeTiny(GetParam());
  std::vector<std::vector<std::vector<float>>> logits;
  for (const Ids& source : sources_) logits.push_back(ForcedLogits(*executor, {source}, inputs_)[0]);
  const Difference difference = Compare(logits, golden_["fp32"], columns_);
  EXPECT_LT(difference.worst, 1e-4);
  EXPECT_EQ(difference.other_argmax, 0);
}

TEST_P(LogitsGolden, Fp32IsWithin1em4InCompanyOfOtherLengths) {
  const auto executor = MakeTiny(GetParam());
  const Difference difference = Compare(ForcedLogits(*executor, sources_, inputs_), golden_["fp32"], columns_);
  EXPECT_LT(difference.worst, 1e-4);
  EXPECT_EQ(difference.other_argmax, 0);
}

TEST_P(LogitsGolden, Fp32IsWithin1em4OnTheDevicesPath) {
  const auto executor = MakeTiny(GetParam(), {.force_generic_attention = true});
  const Difference difference = Compare(ForcedLogits(*executor, sources_, inputs_), golden_["fp32"], columns_);
  EXPECT_LT(difference.worst, 1e-4);
  EXPECT_EQ(difference.other_argmax, 0);
}

TEST_P(LogitsGolden, BothPathsAgreeWithin5em5) {
  const auto ours = ForcedLogits(*MakeTiny(GetParam()), sources_, inputs_);
  const auto generic = ForcedLogits(*MakeTiny(GetParam(), {.force_generic_attention = true}), sources_, inputs_);
  double worst = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    for (std::size_t step = 0; step < ours[i].size(); ++step) {
      for (std::size_t id = 0; id < ours[i][step].size(); ++id) {
        const double size = std::max(1.0F, std::abs(generic[i][step][id]));
        worst = std::max(worst, std::abs(ours[i][step][id] - generic[i][step][id]) / size);
      }
    }
  }
  // Half of what both are held to against upstream; 2e-5 was seen on one processor, below 1e-5 on others.
  EXPECT_LT(worst, 5e-5);
}

// The report's method, quantised activations included: 7 bits of range, so a rounding either way shows.
TEST_P(LogitsGolden, Int8IsPythonsQuantizeDynamicWithin1em3) {
  const auto executor = MakeTiny(GetParam(), {.precision = Precision::kInt8});
  const Difference difference = Compare(LongSourcesAlone(*executor), golden_["int8"], columns_);
  EXPECT_LT(difference.worst, 1e-3);
  EXPECT_EQ(difference.other_argmax, 0);
}

TEST_P(LogitsGolden, Bf16ChoosesAsHuggingFaceDoesNearlyAlways) {
  for (const bool generic : {false, true}) {
    const auto executor = MakeTiny(GetParam(), {.precision = Precision::kBf16, .force_generic_attention = generic});
    const Difference difference = Compare(LongSourcesAlone(*executor), golden_["bf16"], columns_);
    EXPECT_LT(difference.mean, 0.05) << "generic " << generic;
    EXPECT_LE(difference.other_argmax, difference.rows / 10) << "generic " << generic;
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, LogitsGolden, testing::Values("v1_0", "v1_1"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace petit::torch_executor
