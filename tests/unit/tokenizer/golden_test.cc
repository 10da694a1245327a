// The tokenizer gives the ids and texts of Hugging Face's, for the real T5 vocabulary and the demo's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/tokenizer/tokenizer.h"
#include "tests/unit/tokenizer/fixture.h"

namespace petit::tokenizer {
namespace {

using Json = nlohmann::json;
using testing::Contains;
using testing::ElementsAreArray;
using testing::Not;

struct Vocabulary {
  const char* name;
  const char* golden;
  std::string model;
};

class GoldenTest : public testing::TestWithParam<Vocabulary> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(GetParam().model)) GTEST_SKIP() << "needs " << GetParam().model;
    golden_ = Json::parse(std::ifstream(std::string(PETIT_SOURCE_DIR "/tests/data/tokenizer/") + GetParam().golden));
    directory_.WriteModel(ReadFile(GetParam().model));
  }

  std::unique_ptr<Tokenizer> Load(const std::string& config) {
    directory_.WriteConfig(config);
    std::string error;
    auto tokenizer = Tokenizer::Load(directory_.path(), &error);
    EXPECT_NE(tokenizer, nullptr) << error;
    return tokenizer;
  }

  Json golden_;
  Directory directory_;
};

constexpr EncodeOptions kParse{.parse_special_tokens = true};

bool IsPlain(const std::string& text) { return text.find('<') == std::string::npos; }

TEST_P(GoldenTest, EncodesAsTheSlowTokenizerWithLegacyBehaviour) {
  const auto tokenizer = Load(R"({"legacy": true})");
  ASSERT_NE(tokenizer, nullptr);
  ASSERT_EQ(tokenizer->piece_count(), golden_["pieces"].get<int>());
  for (const Json& item : golden_["encode"]) {
    const auto text = item["text"].get<std::string>();
    EXPECT_THAT(tokenizer->Encode(text, kParse).ids, ElementsAreArray(item["ids"].get<std::vector<TokenId>>())) << item;
  }
}

TEST_P(GoldenTest, EncodesAsTheSlowTokenizerWithoutLegacyBehaviour) {
  const auto tokenizer = Load(R"({"legacy": false})");
  ASSERT_NE(tokenizer, nullptr);
  for (const Json& item : golden_["encode"]) {
    const auto text = item["text"].get<std::string>();
    const auto want = item[item.contains("modern") ? "modern" : "ids"].get<std::vector<TokenId>>();
    EXPECT_THAT(tokenizer->Encode(text, kParse).ids, ElementsAreArray(want)) << item;
  }
}

TEST_P(GoldenTest, TextWithoutSpecialTokensHasTheSameIdsWhetherTheyAreParsedOrNotSlowOrFast) {
  const auto tokenizer = Load("{}");
  ASSERT_NE(tokenizer, nullptr);
  int checked = 0;
  int differs = 0;
  for (const Json& item : golden_["encode"]) {
    const auto text = item["text"].get<std::string>();
    if (!IsPlain(text)) continue;
    ++checked;
    const auto ids = item["ids"].get<std::vector<TokenId>>();
    EXPECT_THAT(tokenizer->Encode(text).ids, ElementsAreArray(ids)) << item;
    differs += item.contains("fast") ? 1 : 0;
  }
  // Two texts on which the slow and the fast class differ themselves: 40 hyphens (two equally likely segmentations)
  // and a letter under four accents (another normalizer).
  EXPECT_LE(differs, 2);
  EXPECT_GT(checked, 100);
}

TEST_P(GoldenTest, UserTextNeverProducesASpecialIdBeforeTheEnd) {
  const auto tokenizer = Load("{}");
  ASSERT_NE(tokenizer, nullptr);
  for (const Json& item : golden_["encode"]) {
    auto ids = tokenizer->Encode(item["text"].get<std::string>()).ids;
    ASSERT_FALSE(ids.empty());
    EXPECT_EQ(ids.back(), tokenizer->eos_id());
    ids.pop_back();
    EXPECT_THAT(ids, Not(Contains(tokenizer->eos_id()))) << item;
    EXPECT_THAT(ids, Not(Contains(tokenizer->pad_id()))) << item;
    EXPECT_THAT(ids, testing::Each(testing::Lt(tokenizer->piece_count()))) << item;
  }
}

TEST_P(GoldenTest, TruncatesAsTheSlowTokenizer) {
  const auto tokenizer = Load("{}");
  ASSERT_NE(tokenizer, nullptr);
  for (const Json& item : golden_["truncate"]) {
    EncodeOptions options = kParse;
    options.max_tokens = item["limit"];
    const Encoded encoded = tokenizer->Encode(item["text"].get<std::string>(), options);
    EXPECT_THAT(encoded.ids, ElementsAreArray(item["ids"].get<std::vector<TokenId>>())) << item["limit"];
    EXPECT_EQ(encoded.truncated, encoded.ids.size() < item["whole"].get<std::size_t>()) << item["limit"];
  }
}

TEST_P(GoldenTest, DecodesAsTheSlowTokenizer) {
  for (const char* config : {R"({"legacy": true})", R"({"legacy": false})"}) {
    const auto tokenizer = Load(config);
    ASSERT_NE(tokenizer, nullptr);
    for (const Json& item : golden_["decode"]) {
      const auto ids = item["ids"].get<std::vector<TokenId>>();
      for (int i = 0; i < 4; ++i) {
        const DecodeOptions options = {
            .skip_special_tokens = i >= 2,
            .clean_up = i % 2 == 1 ? DecodeOptions::CleanUp::kOn : DecodeOptions::CleanUp::kOff};
        EXPECT_EQ(tokenizer->Decode(ids, options), item["texts"][i].get<std::string>()) << item << config << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, GoldenTest,
                         testing::Values(Vocabulary{"T5", "t5.json", SharedT5Model()},
                                         Vocabulary{"Demo", "demo.json", DemoModel()}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace petit::tokenizer
