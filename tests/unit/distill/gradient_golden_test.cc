// Losses and gradients of one batch against Hugging Face's T5 and PyTorch's autograd (tests/data/distill).
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/checkpoint/checkpoint.h"
#include "models/distill/arm.h"
#include "models/distill/teacher.h"

namespace petit::distill {
namespace {

nlohmann::json Golden() {
  std::ifstream file(PETIT_SOURCE_DIR "/tests/data/distill/gradients.json");
  return nlohmann::json::parse(file);
}

checkpoint::Checkpoint OpenTiny(const std::string& version) {
  auto opened = checkpoint::Checkpoint::Open(std::string(PETIT_SOURCE_DIR) + "/tests/data/tiny/" + version);
  EXPECT_TRUE(opened.ok()) << opened.status();
  return *std::move(opened);
}

struct Form {
  const char* name;
  bool generic_attention;
  bool split;  // into micro-batches
};

class GradientGolden : public testing::TestWithParam<Form> {};

TEST_P(GradientGolden, LossesAndGradientsAreHuggingFaces) {
  const nlohmann::json golden = Golden();
  std::vector<Example> examples;
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < golden.at("sources").size(); ++i) {
    examples.push_back({.source = golden["sources"][i], .target = golden["targets"][i]});
    tokens += static_cast<std::int64_t>(examples.back().target.size());
  }
  for (const nlohmann::json& c : golden.at("cases")) {
    SCOPED_TRACE(c.at("teacher").get<std::string>() + " -> " + c.at("student").get<std::string>() + ", alpha " +
                 c.at("alpha").dump() + ", top_k " + c.at("top_k").dump());
    const checkpoint::Checkpoint checkpoint = OpenTiny(c.at("student"));
    T5Module student(checkpoint.config(), at::kCPU);
    LoadParameters(checkpoint, &student);
    if (GetParam().generic_attention) student.UseGenericAttention();
    auto teacher = Teacher::Load(OpenTiny(c.at("teacher")), at::kCPU, TrainingPrecision::kFp32, golden["distribution"]);
    ASSERT_TRUE(teacher.ok()) << teacher.status();
    LossSettings loss;
    loss.temperature = c.at("temperature");
    loss.divergence = c.at("reverse") ? Divergence::kReverseKl : Divergence::kForwardKl;
    loss.label_smoothing = c.at("smoothing");
    loss.hidden_state_weight = c.at("hidden");

    StepSums sums;
    const std::size_t parts = GetParam().split ? 2 : 1;
    for (std::size_t part = 0; part < parts; ++part) {
      std::vector<const Example*> chosen;
      for (std::size_t i = part; i < examples.size(); i += parts) chosen.push_back(&examples[i]);
      const Batch batch = MakeBatch(chosen, 0);
      const TeacherOutputs taught =
          (*teacher)->Run(batch, loss.temperature, c.at("top_k").get<int>(), loss.hidden_state_weight > 0);
      std::int64_t all_sources = 0;
      for (const Example& example : examples) all_sources += static_cast<std::int64_t>(example.source.size());
      AddGradients({.module = &student,
                    .batch = batch,
                    .taught = taught,
                    .alpha = c.at("alpha"),
                    .loss = loss,
                    .distribution_size = golden["distribution"],
                    .total_target_tokens = tokens,
                    .total_source_tokens = all_sources},
                   &sums);
    }
    const double n = static_cast<double>(tokens);
    EXPECT_NEAR(sums.cross_entropy / n, c.at("cross_entropy").get<double>(), 2e-5);
    if (c.at("alpha") != 0) {
      EXPECT_NEAR(sums.kl / n, c.at("kl").get<double>(), 2e-5);
    }
    for (const Parameter& parameter : student.parameters()) {
      SCOPED_TRACE(parameter.name);
      const nlohmann::json& expected = c.at("gradients").at(parameter.name);
      ASSERT_TRUE(parameter.value.grad().defined());
      const at::Tensor gradient = parameter.value.grad().flatten();
      const double norm = expected.at("norm");
      EXPECT_NEAR(gradient.norm().item<double>(), norm, 1e-4 * norm);
      const std::int64_t samples = expected.at("values").size();
      for (std::int64_t i = 0; i < samples; ++i) {
        const std::int64_t index = i * (gradient.numel() - 1) / (samples - 1);
        EXPECT_NEAR(gradient[index].item<double>(), expected["values"][i].get<double>(),
                    1e-4 * expected.at("max").get<double>())
            << "element " << index;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, GradientGolden,
                         testing::Values(Form{"Kernel", false, false}, Form{"Generic", true, false},
                                         Form{"Accumulated", false, true}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace petit::distill
