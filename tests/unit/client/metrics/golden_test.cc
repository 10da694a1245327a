// The figures are those of sacreBLEU and rouge_score, to the last digit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/metrics/bleu.h"
#include "client/metrics/chrf.h"
#include "client/metrics/rouge.h"

namespace petit::metrics {
namespace {

using Json = nlohmann::json;

class MetricsGoldenTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    // Another file of the same script may take its place: a check over real data.
    const char* other = std::getenv("PETIT_METRICS_GOLDENS");  // NOLINT(concurrency-mt-unsafe)
    golden_ = new Json(
        Json::parse(std::ifstream(other != nullptr ? other : PETIT_SOURCE_DIR "/tests/data/metrics/goldens.json")));
  }
  static void TearDownTestSuite() {
    delete golden_;
    golden_ = nullptr;
  }

  static std::vector<std::vector<std::string>> References(int columns) {
    const Json& pairs = (*golden_)["pairs"];
    std::vector<std::vector<std::string>> references(pairs.size());
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      references[i].push_back(pairs[i]["ref"]);
      if (columns > 1) references[i].push_back(pairs[(i + 1) % pairs.size()]["ref"]);
      if (columns > 2) references[i].push_back(pairs[pairs.size() - 1 - i]["hyp"]);
    }
    return references;
  }

  static Json* golden_;
};

Json* MetricsGoldenTest::golden_ = nullptr;

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string WithoutVersion(const std::string& signature) { return signature.substr(0, signature.find("|version:")); }

TEST_F(MetricsGoldenTest, TokensAreThoseOf13a) {
  for (const Json& pair : (*golden_)["pairs"]) {
    EXPECT_EQ(Join(Tokenize13a(pair["hyp"].get<std::string>())), pair["tok"].get<std::string>()) << pair;
  }
}

TEST_F(MetricsGoldenTest, SentenceFiguresAreEqual) {
  for (const Json& pair : (*golden_)["pairs"]) {
    const std::string hypothesis = pair["hyp"];
    const std::vector<std::string> references = {pair["ref"]};
    EXPECT_DOUBLE_EQ(SentenceBleu(hypothesis, references).score, pair["bleu"].get<double>()) << pair;
    EXPECT_DOUBLE_EQ(SentenceChrf(hypothesis, references), pair["chrf"].get<double>()) << pair;
    EXPECT_DOUBLE_EQ(SentenceRougeL(hypothesis, references[0], RougeWords::kAscii).f1, pair["rouge"].get<double>())
        << pair;
    EXPECT_DOUBLE_EQ(SentenceRougeL(hypothesis, references[0], RougeWords::kUnicode).f1, pair["words"].get<double>())
        << pair;
  }
}

TEST_F(MetricsGoldenTest, CorpusFiguresAreEqual) {
  const Json& pairs = (*golden_)["pairs"];
  for (const Json& corpus : (*golden_)["corpora"]) {
    Bleu bleu({.max_order = corpus["order"]});
    Chrf chrf;
    const auto references = References(corpus["refs"]);
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      bleu.Add(pairs[i]["hyp"].get<std::string>(), references[i]);
      if (corpus.contains("chrf")) chrf.Add(pairs[i]["hyp"].get<std::string>(), references[i]);
    }
    const BleuScore score = bleu.Score();
    EXPECT_DOUBLE_EQ(score.score, corpus["bleu"].get<double>()) << corpus;
    EXPECT_DOUBLE_EQ(score.brevity_penalty, corpus["bp"].get<double>()) << corpus;
    EXPECT_EQ(score.statistics.hypothesis_length, corpus["sys"].get<std::int64_t>()) << corpus;
    EXPECT_EQ(score.statistics.reference_length, corpus["ref"].get<std::int64_t>()) << corpus;
    for (std::size_t n = 0; n < corpus["precisions"].size(); ++n) {
      EXPECT_DOUBLE_EQ(score.precisions[n], corpus["precisions"][n].get<double>()) << corpus;
    }
    EXPECT_EQ(bleu.Signature(), WithoutVersion(corpus["signature"])) << corpus;
    if (!corpus.contains("chrf")) continue;
    EXPECT_DOUBLE_EQ(chrf.Score(), corpus["chrf"].get<double>()) << corpus;
    EXPECT_EQ(chrf.Signature(), WithoutVersion(corpus["chrf_signature"])) << corpus;
  }
}

TEST_F(MetricsGoldenTest, RougeOfTheCorpusIsThePlainMean) {
  RougeL ascii(RougeWords::kAscii);
  RougeL words(RougeWords::kUnicode);
  for (const Json& pair : (*golden_)["pairs"]) {
    ascii.AddPair(pair["hyp"].get<std::string>(), pair["ref"].get<std::string>());
    words.AddPair(pair["hyp"].get<std::string>(), pair["ref"].get<std::string>());
  }
  EXPECT_DOUBLE_EQ(ascii.Score().f1, (*golden_)["rouge"].get<double>());
  EXPECT_DOUBLE_EQ(words.Score().f1, (*golden_)["words"].get<double>());
}

}  // namespace
}  // namespace petit::metrics
