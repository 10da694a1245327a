// Scores, p-values and intervals over real translations are those of sacreBLEU, to the last digit that it prints.
#include "client/metrics/significance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/metrics/numpy_random.h"
#include "client/metrics/rouge.h"

namespace petit::metrics {
namespace {

using Json = nlohmann::json;

constexpr char kData[] = PETIT_SOURCE_DIR "/tests/data/metrics/";

std::vector<std::string> ReadLines(const std::string& name) {
  std::ifstream file(kData + name + ".txt", std::ios::binary);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// What each sentence of a system contributes.
struct System {
  std::vector<BleuStatistics> bleu;
  std::vector<ChrfStatistics> chrf;
  std::vector<double> rouge;

  void Add(const std::string& hypothesis, const std::string& reference) {
    const std::string references[] = {reference};
    bleu.push_back(ComputeBleuStatistics(hypothesis, references));
    chrf.push_back(ComputeChrfStatistics(hypothesis, references));
    rouge.push_back(SentenceRougeL(hypothesis, reference, RougeWords::kAscii).f1);
  }
};

class SignificanceTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    golden_ = new Json(Json::parse(std::ifstream(std::string(kData) + "significance.json")));
    systems_ = new std::map<std::string, System>();
    const std::vector<std::string> references = ReadLines("references");
    System teacher;
    System student;
    const std::vector<std::string> good = ReadLines("teacher");
    const std::vector<std::string> bad = ReadLines("student");
    ASSERT_EQ(references.size(), (*golden_)["pairs"].get<std::size_t>());
    ASSERT_GE(references.size(), 2000);
    for (std::size_t i = 0; i < references.size(); ++i) {
      teacher.Add(good[i], references[i]);
      student.Add(bad[i], references[i]);
    }
    // As make_significance.py mixes them.
    const auto mix = [&](const std::string& name, auto is_teachers) {
      System& mixed = (*systems_)[name];
      for (std::size_t i = 0; i < references.size(); ++i) {
        const System& from = is_teachers(i) ? teacher : student;
        mixed.bleu.push_back(from.bleu[i]);
        mixed.chrf.push_back(from.chrf[i]);
        mixed.rouge.push_back(from.rouge[i]);
      }
    };
    mix("teacher", [](std::size_t) { return true; });
    mix("student", [](std::size_t) { return false; });
    mix("mixed", [](std::size_t i) { return i % 25 != 0; });
    mix("close", [](std::size_t i) { return i == 3 || i == 5; });
    mix("even", [](std::size_t i) { return i % 2 == 0; });
    mix("odd", [](std::size_t i) { return i % 2 == 1; });
  }
  static void TearDownTestSuite() {
    delete golden_;
    delete systems_;
    golden_ = nullptr;
    systems_ = nullptr;
  }

  static Json* golden_;
  static std::map<std::string, System>* systems_;
};

Json* SignificanceTest::golden_ = nullptr;
std::map<std::string, System>* SignificanceTest::systems_ = nullptr;

void ExpectEqual(const Interval& interval, const Json& golden) {
  EXPECT_DOUBLE_EQ(interval.mean, golden["mean"].get<double>());
  EXPECT_DOUBLE_EQ(interval.half_width, golden["half_width"].get<double>());
}

void ExpectEqual(const std::optional<PairedScores>& scores, const Json& golden) {
  ASSERT_TRUE(scores.has_value());
  EXPECT_DOUBLE_EQ(scores->baseline, golden["baseline"].get<double>());
  EXPECT_DOUBLE_EQ(scores->system, golden["system"].get<double>());
  EXPECT_DOUBLE_EQ(scores->p_value, golden["p"].get<double>());
  ASSERT_EQ(scores->system_interval.has_value(), golden.contains("system_interval"));
  ASSERT_EQ(scores->baseline_interval.has_value(), golden.contains("baseline_interval"));
  if (!scores->system_interval) return;
  ExpectEqual(*scores->baseline_interval, golden["baseline_interval"]);
  ExpectEqual(*scores->system_interval, golden["system_interval"]);
}

TEST_F(SignificanceTest, PairedTestsAreThoseOfSacrebleu) {
  for (const Json& golden : (*golden_)["cases"]) {
    const System& baseline = systems_->at(golden["baseline"]);
    const System& system = systems_->at(golden["system"]);
    const std::size_t first = golden["first"];
    const std::size_t count = golden["last"].get<std::size_t>() - first;
    const auto part = [&](const auto& all) { return std::span(all).subspan(first, count); };
    const ResamplingOptions samples{.trials = golden["samples"]};
    const ResamplingOptions trials{.trials = golden["trials"]};
    const auto check = [&](const char* metric, const auto& one, const auto& other) {
      SCOPED_TRACE(golden["baseline"].get<std::string>() + " " + golden["system"].get<std::string>() + " " +
                   std::to_string(count) + " " + metric);
      ExpectEqual(PairedBootstrap(part(one), part(other), samples), golden["bs"][metric]);
      ExpectEqual(ApproximateRandomization(part(one), part(other), trials), golden["ar"][metric]);
    };
    check("bleu", baseline.bleu, system.bleu);
    check("chrf", baseline.chrf, system.chrf);
    check("rouge", baseline.rouge, system.rouge);
  }
}

TEST_F(SignificanceTest, ScoresAndIntervalsOfOneSystemAreThoseOfSacrebleu) {
  for (const auto& [name, golden] : (*golden_)["scores"].items()) {
    SCOPED_TRACE(name);
    const System& system = systems_->at(name);
    Bleu bleu;
    Chrf chrf;
    double rouge = 0;
    for (std::size_t i = 0; i < system.bleu.size(); ++i) {
      bleu.Add(system.bleu[i]);
      chrf.Add(system.chrf[i]);
      rouge += system.rouge[i];
    }
    EXPECT_DOUBLE_EQ(bleu.Score().score, golden["bleu"]["score"].get<double>());
    EXPECT_DOUBLE_EQ(chrf.Score(), golden["chrf"]["score"].get<double>());
    EXPECT_DOUBLE_EQ(100 * rouge / static_cast<double>(system.rouge.size()), golden["rouge"].get<double>());
    const auto interval_of = [](const Interval& interval, const Json& one) {
      EXPECT_DOUBLE_EQ(interval.mean, one["mean"].get<double>());
      EXPECT_DOUBLE_EQ(interval.half_width, one["ci"].get<double>());
    };
    interval_of(*BootstrapInterval(std::span<const BleuStatistics>(system.bleu)), golden["bleu"]);
    interval_of(*BootstrapInterval(std::span<const ChrfStatistics>(system.chrf)), golden["chrf"]);
  }
}

TEST_F(SignificanceTest, RandomNumbersAreNumpys) {
  for (const auto& [seed_text, golden] : (*golden_)["draws"].items()) {
    const std::uint64_t seed = std::stoull(seed_text);
    NumpyRandom raw(seed);
    for (const Json& number : golden["raw"]) EXPECT_EQ(raw.Next64(), number.get<std::uint64_t>());
    NumpyRandom choices(seed);
    const std::vector<std::uint32_t> bounds = {1, 2, 10, 2000, 3221225472U};
    for (std::size_t i = 0; i < bounds.size(); ++i) {
      for (const Json& number : golden["choices"][i]) EXPECT_EQ(choices.Below(bounds[i]), number.get<std::uint32_t>());
    }
    NumpyCoins coins(seed);
    for (const Json& coin : golden["coins"]) EXPECT_EQ(coins.Next(), coin.get<int>() == 1);
  }
}

TEST_F(SignificanceTest, MeansAreNumpys) {
  for (const Json& golden : (*golden_)["means"]) {
    // random() of a double: the upper 53 bits.
    NumpyRandom random(golden["size"].get<std::uint64_t>());
    std::vector<double> values(golden["size"].get<std::size_t>());
    for (double& value : values) value = static_cast<double>(random.Next64() >> 11) * (1.0 / 9007199254740992.0) * 100;
    const std::vector<float> singles(values.begin(), values.end());
    EXPECT_EQ(NumpyMean(values.data(), static_cast<std::int64_t>(values.size())), golden["double"].get<double>());
    EXPECT_EQ(NumpyMean(singles.data(), static_cast<std::int64_t>(values.size())), golden["single"].get<float>());
  }
}

TEST_F(SignificanceTest, TextsHoldWhatMakesScoresDiffer) {
  const std::vector<std::string> references = ReadLines("references");
  const auto any = [&](const char* text) {
    return std::any_of(references.begin(), references.end(),
                       [&](const std::string& line) { return line.find(text) != std::string::npos; });
  };
  for (const char* text : {"\u00e9", "\u00a0", "\u202f", "\u4e16\u754c", "\ud55c", "\u65e5\u672c\u8a9e", "\u0301"}) {
    EXPECT_TRUE(any(text)) << text;
  }
  EXPECT_TRUE(std::any_of(references.begin(), references.end(), [](const std::string& line) { return line.empty(); }));
}

TEST(Significance, NothingComesOfWhatCannotBeCompared) {
  const std::vector<BleuStatistics> one(1);
  const std::vector<BleuStatistics> two(2);
  const std::vector<double> none;
  EXPECT_FALSE(PairedBootstrap(one, two).has_value());
  EXPECT_FALSE(ApproximateRandomization(one, two).has_value());
  EXPECT_FALSE(PairedBootstrap(none, none).has_value());
  EXPECT_FALSE(BootstrapInterval(none).has_value());
  EXPECT_FALSE(PairedBootstrap(one, one, {.trials = 0}).has_value());
  EXPECT_FALSE(ApproximateRandomization(one, one, {.trials = -1}).has_value());
}

TEST(Significance, SystemsWithoutAnyMatchScoreZero) {
  std::vector<BleuStatistics> bleu(3);
  std::vector<ChrfStatistics> chrf(3);
  for (BleuStatistics& sentence : bleu) sentence.reference_length = 4;
  const auto scores = PairedBootstrap(bleu, bleu);
  ASSERT_TRUE(scores.has_value());
  EXPECT_EQ(scores->system, 0);
  EXPECT_EQ(scores->system_interval->mean, 0);
  EXPECT_EQ(scores->p_value, 1.0 / 1001);
  EXPECT_EQ(PairedBootstrap(chrf, chrf)->baseline_interval->half_width, 0);
}

}  // namespace
}  // namespace petit::metrics
