#include "models/tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/tokenizer/fixture.h"

namespace petit::tokenizer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using CleanUp = DecodeOptions::CleanUp;

class TokenizerTest : public testing::Test {
 protected:
  void SetUp() override { directory_.WriteModel(ReadFile(DemoModel())); }

  std::unique_ptr<Tokenizer> Load() {
    error_.clear();
    return Tokenizer::Load(directory_.path(), &error_);
  }

  Directory directory_;
  std::string error_;
};

TEST_F(TokenizerTest, SentinelsLieBehindThePiecesInReverse) {
  const auto tokenizer = Load();
  ASSERT_NE(tokenizer, nullptr) << error_;
  EXPECT_EQ(tokenizer->piece_count(), 7900);
  EXPECT_EQ(tokenizer->size(), 8000);
  EXPECT_EQ(tokenizer->extra_ids(), 100);
  EXPECT_EQ(tokenizer->extra_id(0), 7999);
  EXPECT_EQ(tokenizer->extra_id(99), 7900);
  EXPECT_EQ(tokenizer->extra_id(100), -1);
  EXPECT_EQ(tokenizer->extra_id(-1), -1);
}

TEST_F(TokenizerTest, SpecialIdsComeFromTheModel) {
  const auto tokenizer = Load();
  ASSERT_NE(tokenizer, nullptr) << error_;
  EXPECT_EQ(tokenizer->pad_id(), 0);
  EXPECT_EQ(tokenizer->eos_id(), 1);
  EXPECT_EQ(tokenizer->unk_id(), 2);
}

TEST_F(TokenizerTest, ExtraIdsOfTheConfigSetTheSize) {
  directory_.WriteConfig(R"({"extra_ids": 3})");
  const auto tokenizer = Load();
  ASSERT_NE(tokenizer, nullptr) << error_;
  EXPECT_EQ(tokenizer->size(), 7903);
  EXPECT_EQ(tokenizer->extra_id(0), 7902);
  EXPECT_THAT(tokenizer->Encode("<extra_id_2>", {.parse_special_tokens = true}).ids, ElementsAre(7900, 1));
  // A sentinel that the configuration does not give is text.
  for (const TokenId id : tokenizer->Encode("<extra_id_3>", {.parse_special_tokens = true}).ids) EXPECT_LT(id, 7900);
}

TEST_F(TokenizerTest, WithoutSentinelsNothingIsOne) {
  directory_.WriteConfig(R"({"extra_ids": 0})");
  const auto tokenizer = Load();
  ASSERT_NE(tokenizer, nullptr) << error_;
  EXPECT_EQ(tokenizer->size(), tokenizer->piece_count());
  EXPECT_EQ(tokenizer->extra_id(0), -1);
  EXPECT_EQ(tokenizer->Decode({tokenizer->size()}), "");
}

TEST_F(TokenizerTest, EmptyTextIsEosAlone) {
  const auto tokenizer = Load();
  ASSERT_NE(tokenizer, nullptr) << error_;
  for (const char* text : {"", " ", "\n\t \xc2\xa0"}) EXPECT_THAT(tokenizer->Encode(text).ids, ElementsAre(1)) << text;
  EXPECT_THAT(tokenizer->Encode("", {.append_eos = false}).ids, ElementsAre());
}

TEST_F(TokenizerTest, EosInsideUserTextDoesNotEndTheSource) {
  const auto tokenizer = Load();
  ASSERT_NE(tokenizer, nullptr) << error_;
  const auto ids = tokenizer->Encode("x</s>y").ids;
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 1), 1);
  EXPECT_EQ(ids.back(), 1);
}

TEST_F(TokenizerTest, CountsUnknownTokens) {
  const auto tokenizer = Load();
  ASSERT_NE(tokenizer, nullptr) << error_;
  EXPECT_EQ(tokenizer->Encode("a file").unknown, 0);
  // A run of unknown characters is one token.
  EXPECT_EQ(tokenizer->Encode("\xed\x95\x9c\xea\xb5\xad a \xed\x95\x9c").unknown, 2);
}

TEST_F(TokenizerTest, TruncationCountsTheEosItAppends) {
  const auto tokenizer = Load();
  ASSERT_NE(tokenizer, nullptr) << error_;
  const auto whole = tokenizer->Encode("the package contains the files").ids;
  ASSERT_GE(whole.size(), 4U);
  const int n = static_cast<int>(whole.size());
  EXPECT_EQ(tokenizer->Encode("the package contains the files", {.max_tokens = n}).ids, whole);
  EXPECT_FALSE(tokenizer->Encode("the package contains the files", {.max_tokens = n}).truncated);
  const auto cut = tokenizer->Encode("the package contains the files", {.max_tokens = 3});
  EXPECT_THAT(cut.ids, ElementsAre(whole[0], whole[1], 1));
  EXPECT_TRUE(cut.truncated);
  const auto bare = tokenizer->Encode("the package contains the files", {.append_eos = false, .max_tokens = 3});
  EXPECT_THAT(bare.ids, ElementsAre(whole[0], whole[1], whole[2]));
  EXPECT_TRUE(bare.truncated);
  EXPECT_THAT(tokenizer->Encode("the package", {.max_tokens = 1}).ids, ElementsAre(1));
}

TEST_F(TokenizerTest, DecodeDropsIdsOutOfRange) {
  const auto tokenizer = Load();
  ASSERT_NE(tokenizer, nullptr) << error_;
  auto ids = tokenizer->Encode("a file").ids;
  ids.insert(ids.begin(), {-1, 8000, 32127, INT32_MAX, INT32_MIN});
  EXPECT_EQ(tokenizer->Decode(ids), "a file");
  EXPECT_EQ(tokenizer->Decode(ids, {.skip_special_tokens = false}), "a file</s>");
}

TEST_F(TokenizerTest, CleanUpIsOffUnlessTheFileOrTheCallerAsks) {
  auto tokenizer = Load();
  ASSERT_NE(tokenizer, nullptr) << error_;
  const auto ids = tokenizer->Encode("un fichier ?").ids;
  EXPECT_EQ(tokenizer->Decode(ids), "un fichier ?");
  EXPECT_EQ(tokenizer->Decode(ids, {.clean_up = CleanUp::kOn}), "un fichier?");
  directory_.WriteConfig(R"({"clean_up_tokenization_spaces": true})");
  tokenizer = Load();
  ASSERT_NE(tokenizer, nullptr) << error_;
  EXPECT_EQ(tokenizer->Decode(ids), "un fichier?");
  EXPECT_EQ(tokenizer->Decode(ids, {.clean_up = CleanUp::kOff}), "un fichier ?");
}

TEST_F(TokenizerTest, ThreadsShareOneTokenizer) {
  const auto tokenizer = Load();
  ASSERT_NE(tokenizer, nullptr) << error_;
  const std::string text = "This package contains the development files.";
  const auto want = tokenizer->Encode(text).ids;
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  threads.reserve(wrong.size());
  for (int& count : wrong) {
    threads.emplace_back([&tokenizer, &text, &want, &count] {
      for (int i = 0; i < 500; ++i) {
        count += tokenizer->Encode(text).ids == want ? 0 : 1;
        count += tokenizer->Decode(want) == text ? 0 : 1;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

TEST_F(TokenizerTest, ConfigFieldsThatAreNullAreDefaults) {
  directory_.WriteConfig(
      R"({"extra_ids": null, "legacy": null, "clean_up_tokenization_spaces": null, "unk_token": "<unk>"})");
  EXPECT_NE(Load(), nullptr) << error_;
}

TEST_F(TokenizerTest, RefusesBadConfigsAndSaysFileAndField) {
  const std::pair<const char*, const char*> bad[] = {
      {"", "not a JSON object"},
      {"[1]", "not a JSON object"},
      {"{\"extra_ids\": ", "not a JSON"},
      {R"({"extra_ids": -1})", "extra_ids"},
      {R"({"extra_ids": 1e9})", "extra_ids"},
      {R"({"extra_ids": 18446744073709551615})", "extra_ids"},
      {R"({"extra_ids": "100"})", "extra_ids"},
      {R"({"extra_ids": 1.5})", "extra_ids"},
      {R"({"legacy": 1})", "legacy"},
      {R"({"clean_up_tokenization_spaces": "no"})", "clean_up_tokenization_spaces"},
  };
  for (const auto& [config, reason] : bad) {
    directory_.WriteConfig(config);
    EXPECT_EQ(Load(), nullptr) << config;
    EXPECT_THAT(error_, HasSubstr(directory_.path() + "/tokenizer_config.json: ")) << config;
    EXPECT_THAT(error_, HasSubstr(reason)) << config;
  }
}

TEST_F(TokenizerTest, RefusesAMissingModelAndSaysWhichFile) {
  EXPECT_EQ(Tokenizer::Load(directory_.path() + "/none", &error_), nullptr);
  EXPECT_THAT(error_, HasSubstr("/none/spiece.model: No such file"));
  EXPECT_EQ(Tokenizer::Load(directory_.path() + "/none", nullptr), nullptr);
}

TEST_F(TokenizerTest, RefusesWhatIsNoModel) {
  for (const std::string& bytes : {std::string(), std::string("hello"), std::string(4096, '\0'), std::string("{}"),
                                   std::string("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")}) {
    directory_.WriteModel(bytes);
    EXPECT_EQ(Load(), nullptr) << bytes.size();
    EXPECT_THAT(error_, HasSubstr("/spiece.model: ")) << bytes.size();
  }
}

TEST_F(TokenizerTest, RefusesATruncatedModel) {
  const std::string whole = ReadFile(DemoModel());
  for (int tenth = 0; tenth < 10; ++tenth) {
    directory_.WriteModel(whole.substr(0, whole.size() * tenth / 10));
    EXPECT_EQ(Load(), nullptr) << tenth;
    EXPECT_THAT(error_, HasSubstr("/spiece.model: ")) << tenth;
  }
}

TEST_F(TokenizerTest, RefusesAModelWithoutThePiecesThatT5Needs) {
  // TrainerSpec { pad_piece: "<nope>" }, merged into the model's own.
  directory_.WriteModel(ReadFile(DemoModel()) + std::string("\x12\x09\x82\x03\x06<nope>", 11));
  EXPECT_EQ(Load(), nullptr);
  EXPECT_THAT(error_, HasSubstr("/spiece.model: has no pad piece"));
}

TEST_F(TokenizerTest, RefusesNormalizerRulesThatPointOutsideTheirTable) {
  std::string bytes = ReadFile(DemoModel());
  // The array begins behind the field's header and the array's own length; its first unit is the root.
  const std::size_t name = bytes.rfind("nmt_nfkc");
  ASSERT_NE(name, std::string::npos);
  const std::size_t root = name + 8 + 1 + 3 + 4;
  bytes[root + 2] = '\xff';
  bytes[root + 3] = '\x7f';
  directory_.WriteModel(bytes);
  EXPECT_EQ(Load(), nullptr);
  EXPECT_THAT(error_, HasSubstr("a normalizer rule that points outside its table"));
}

// What cannot be seen in a model with a flipped bit must at least not break the process.
TEST_F(TokenizerTest, AModelWithFlippedBitsIsRefusedOrHarmless) {
  const std::string whole = ReadFile(DemoModel());
  std::string text;
  for (int code = 0x80; code < 0xD800; code += 7) {
    if (code < 0x800) {
      text += {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 63))};
    } else {
      text += {static_cast<char>(0xE0 | code >> 12), static_cast<char>(0x80 | ((code >> 6) & 63)),
               static_cast<char>(0x80 | (code & 63))};
    }
  }
  std::mt19937 random(1);
  int refused = 0;
  for (int round = 0; round < 40; ++round) {
    std::string bytes = whole;
    for (int flip = 0; flip < 4; ++flip) bytes[random() % bytes.size()] ^= static_cast<char>(1U << random() % 8);
    directory_.WriteModel(bytes);
    const auto tokenizer = Load();
    if (tokenizer == nullptr) {
      ++refused;
      EXPECT_THAT(error_, HasSubstr("/spiece.model: "));
      continue;
    }
    const Encoded encoded = tokenizer->Encode(text);
    EXPECT_THAT(encoded.ids, testing::Each(testing::AllOf(testing::Ge(0), testing::Lt(tokenizer->size()))));
    EXPECT_EQ(FirstInvalidUtf8(tokenizer->Decode(encoded.ids)), -1);
  }
  EXPECT_GT(refused, 10);
}

}  // namespace
}  // namespace petit::tokenizer
