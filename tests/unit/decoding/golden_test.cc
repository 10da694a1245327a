// Decoding against Hugging Face's generate() on scripted models. See tests/data/decoding/make_decoding_goldens.py.
#include <cmath>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/decoding/decoder.h"
#include "models/decoding/sampling.h"
#include "nlohmann/json.hpp"
#include "tests/unit/decoding/hashed_table.h"
#include "tests/unit/decoding/table_model.h"

namespace petit::decoding {
namespace {

using nlohmann::json;

json ReadGolden(const std::string& name) {
  const std::string path = std::string(PETIT_SOURCE_DIR) + "/tests/data/decoding/" + name;
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return json::parse(file);
}

struct Settings {
  DecodingOptions options;
  SpecialTokens special;
};

Settings ParseOptions(const json& from) {
  Settings settings;
  DecodingOptions& o = settings.options;
  o.max_new_tokens = from.at("max_new_tokens");
  o.min_new_tokens = from.value("min_new_tokens", 0);
  o.num_beams = from.value("num_beams", 1);
  o.num_return_sequences = from.value("num_return_sequences", 1);
  o.length_penalty = from.value("length_penalty", 1.0f);
  if (from.contains("early_stopping")) {
    const json& early = from["early_stopping"];
    o.early_stopping = early.is_string() ? EarlyStopping::kNever : early ? EarlyStopping::kTrue : EarlyStopping::kFalse;
  }
  o.repetition_penalty = from.value("repetition_penalty", 1.0f);
  o.no_repeat_ngram_size = from.value("no_repeat_ngram_size", 0);
  o.bad_words = from.value("bad_words", std::vector<std::vector<TokenId>>());
  if (from.contains("forced_bos")) o.forced_bos = from["forced_bos"].get<TokenId>();
  if (from.contains("forced_eos")) o.forced_eos = from["forced_eos"].get<TokenId>();
  settings.special.eos = from.value("eos", std::vector<TokenId>{1});
  EXPECT_EQ(Validate(o), std::nullopt);
  return settings;
}

void ExpectClose(float actual, float expected, const std::string& what) {
  EXPECT_LE(std::abs(actual - expected), 1e-4f * std::abs(expected) + 1e-6f)
      << what << ": " << actual << " for " << expected;
}

void ExpectSame(const std::vector<Hypothesis>& actual, const json& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].ids, expected[i].at("ids").get<std::vector<TokenId>>()) << "hypothesis " << i;
    EXPECT_EQ(actual[i].finish_reason == FinishReason::kEos, expected[i].at("eos").get<bool>()) << "hypothesis " << i;
    ExpectClose(actual[i].score, expected[i].at("score"), "score");
    EXPECT_EQ(actual[i].token_log_probs.size(),
              actual[i].ids.size() + (actual[i].finish_reason == FinishReason::kEos ? 1 : 0));
    if (!expected[i].contains("transitions")) continue;
    const auto transitions = expected[i]["transitions"].get<std::vector<float>>();
    ASSERT_EQ(actual[i].token_log_probs.size(), transitions.size());
    for (std::size_t t = 0; t < transitions.size(); ++t) {
      ExpectClose(actual[i].token_log_probs[t], transitions[t], "transition score " + std::to_string(t));
    }
  }
}

TEST(NamedGoldens, AloneGiveUpstreamsIdsAndScores) {
  const json golden = ReadGolden("named_goldens.json");
  ASSERT_GE(golden.at("cases").size(), 80u);
  for (const json& test : golden["cases"]) {
    SCOPED_TRACE(test.at("name").get<std::string>());
    const TableModel model(golden.at("tables").at(test.at("table").get<std::string>()));
    const auto [options, special] = ParseOptions(test.at("options"));
    ExpectSame(DecodeWithTable(model, options, special), test.at("results"));
  }
}

// Rows of three sequences with different tables go through one batch of steps, and some end before the others.
TEST(NamedGoldens, InABatchOfThreeGiveTheSame) {
  const json golden = ReadGolden("named_goldens.json");
  const json& cases = golden.at("cases");
  for (std::size_t first = 0; first + 2 < cases.size(); ++first) {
    std::vector<TableModel> models;
    std::vector<TableRunner> runners;
    std::vector<std::unique_ptr<SequenceDecoder>> decoders;
    models.reserve(3);
    for (std::size_t i = first; i < first + 3; ++i) {
      models.emplace_back(golden.at("tables").at(cases[i].at("table").get<std::string>()));
      runners.emplace_back(models.back());
      const auto [options, special] = ParseOptions(cases[i].at("options"));
      decoders.push_back(MakeDecoder(options, special, i));
    }
    for (bool running = true; running;) {
      running = false;
      std::vector<std::vector<RowResult>> results;
      for (std::size_t i = 0; i < 3; ++i) results.push_back(runners[i].Step(decoders[i]->rows()));
      for (std::size_t i = 0; i < 3; ++i) {
        if (decoders[i]->done()) continue;
        decoders[i]->Advance(results[i]);
        running = true;
      }
    }
    for (std::size_t i = 0; i < 3; ++i) {
      SCOPED_TRACE(cases[first + i].at("name").get<std::string>());
      ExpectSame(decoders[i]->Hypotheses(), cases[first + i].at("results"));
    }
  }
}

void ReplayRandom(const std::string& name, std::size_t at_least) {
  const json golden = ReadGolden(name);
  ASSERT_GE(golden.at("cases").size(), at_least);
  for (const json& test : golden["cases"]) {
    SCOPED_TRACE(test.at("table").dump() + " " + test.at("options").dump());
    const json& table = test.at("table");
    const int vocab = table.at("vocab");
    const std::uint64_t seed = table.at("seed");
    std::vector<std::vector<float>> by_last = HashedTable(seed, vocab, table.at("spread"));
    for (std::vector<float>& row : by_last) row[1] += table.at("eos_bonus").get<float>();
    const TableModel model(std::move(by_last), HashedTable(seed + 1, vocab, 2));
    const auto [options, special] = ParseOptions(test.at("options"));
    const std::vector<Hypothesis> actual = DecodeWithTable(model, options, special);
    if (!test.at("results").empty()) {
      ExpectSame(actual, test.at("results"));
      continue;
    }
    ASSERT_EQ(actual.size(), 1u);  // nothing ended upstream
    EXPECT_TRUE(actual[0].ids.empty());
    EXPECT_EQ(actual[0].score, -1e9f);
  }
}

TEST(RandomGoldens, FiveWordModelsGiveUpstreamsIdsAndScores) { ReplayRandom("random_5_goldens.json", 300); }

TEST(RandomGoldens, FortyWordModelsGiveUpstreamsIdsAndScores) { ReplayRandom("random_40_goldens.json", 150); }

TEST(RandomGoldens, ScarceCandidatesGiveUpstreamsSentinelsAndAll) { ReplayRandom("scarce_goldens.json", 50); }

TEST(FilterGoldens, TemperatureTopKAndTopPKeepWhatUpstreamsWarpersKeep) {
  const json golden = ReadGolden("filter_goldens.json");
  ASSERT_GE(golden.at("cases").size(), 50u);
  for (const json& test : golden["cases"]) {
    json shown = test;
    shown.erase("kept");
    SCOPED_TRACE(shown.dump());
    std::vector<float> logits(test.at("vocab").get<std::size_t>());
    const float steps = test.at("steps_per_unit");
    for (std::size_t j = 0; j < logits.size(); ++j) {
      logits[j] = Hashed(test.at("seed"), 0, j, test.at("spread"));
      if (steps > 0) logits[j] = std::floor(logits[j] * steps) / steps;
    }
    DecodingOptions options;
    options.do_sample = true;
    options.temperature = test.at("temperature");
    options.top_k = test.at("top_k");
    options.top_p = test.at("top_p");
    Sampler sampler(options);
    RowRequest request;
    request.num_best = sampler.num_best();
    request.full_row = sampler.full_row();
    std::vector<TokenId> ids;
    double total = 0;
    float largest = 0;
    const RowResult row = AnswerRow(logits, request);
    const auto kept = sampler.Filter(row);
    for (const Sampler::Kept& k : kept) {
      ids.push_back(k.id);
      total += k.weight;
      largest = std::max(largest, k.weight);
    }
    EXPECT_EQ(ids, test.at("kept").get<std::vector<TokenId>>());
    EXPECT_NEAR(kept.front().weight / total, test.at("first"), 1e-5);
    EXPECT_NEAR(largest / total, test.at("largest"), 1e-5);
  }
}

}  // namespace
}  // namespace petit::decoding
