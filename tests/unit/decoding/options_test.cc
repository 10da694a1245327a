#include "models/decoding/options.h"

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace petit::decoding {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Optional;

TEST(Validate, AcceptsTheDefaults) { EXPECT_EQ(Validate(DecodingOptions()), std::nullopt); }

TEST(Validate, AcceptsTheEdgesOfEachRange) {
  DecodingOptions options;
  options.max_new_tokens = options.min_new_tokens = 1;
  options.num_beams = options.num_return_sequences = 5;
  options.length_penalty = -2;
  options.repetition_penalty = 0.01f;
  options.bad_words = {{0}, {1, 2}};
  options.forced_bos = 0;
  EXPECT_EQ(Validate(options), std::nullopt);
}

TEST(Validate, AllowsMoreSamplesThanBeams) {
  DecodingOptions options;
  options.do_sample = true;
  options.num_return_sequences = 7;
  options.top_k = 0;
  EXPECT_EQ(Validate(options), std::nullopt);
  EXPECT_EQ(MaxRows(options), 7);
}

TEST(Validate, NamesTheFieldItsValueAndWhatWouldBeRight) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const struct {
    std::string field, value, right;
    std::function<void(DecodingOptions&)> spoil;
  } cases[] = {
      {"max_new_tokens", "0", ">= 1", [](auto& o) { o.max_new_tokens = 0; }},
      {"min_new_tokens", "-1", "[0, max_new_tokens = 128]", [](auto& o) { o.min_new_tokens = -1; }},
      {"min_new_tokens", "129", "[0, max_new_tokens = 128]", [](auto& o) { o.min_new_tokens = 129; }},
      {"num_beams", "0", ">= 1", [](auto& o) { o.num_beams = 0; }},
      {"num_beams", "2", "do_sample", [](auto& o) { o.num_beams = 2, o.do_sample = true; }},
      {"num_return_sequences", "0", ">= 1", [](auto& o) { o.num_return_sequences = 0; }},
      {"num_return_sequences", "3", "num_beams = 2", [](auto& o) { o.num_beams = 2, o.num_return_sequences = 3; }},
      {"length_penalty", "nan", "finite", [=](auto& o) { o.length_penalty = nan; }},
      {"length_penalty", "inf", "finite", [=](auto& o) { o.length_penalty = infinity; }},
      {"repetition_penalty", "0.0", "> 0", [](auto& o) { o.repetition_penalty = 0; }},
      {"repetition_penalty", "nan", "> 0", [=](auto& o) { o.repetition_penalty = nan; }},
      {"repetition_penalty", "inf", "finite", [=](auto& o) { o.repetition_penalty = infinity; }},
      {"no_repeat_ngram_size", "-2", ">= 0", [](auto& o) { o.no_repeat_ngram_size = -2; }},
      {"temperature", "0.0", "> 0", [](auto& o) { o.temperature = 0; }},
      {"temperature", "nan", "> 0", [=](auto& o) { o.temperature = nan; }},
      {"top_k", "-1", ">= 0", [](auto& o) { o.top_k = -1; }},
      {"top_p", "0.0", "(0, 1]", [](auto& o) { o.top_p = 0; }},
      {"top_p", "1.5", "(0, 1]", [](auto& o) { o.top_p = 1.5f; }},
      {"top_p", "nan", "(0, 1]", [=](auto& o) { o.top_p = nan; }},
      {"bad_words[1]", "empty", "one id",
       [](auto& o) {
         o.bad_words = {{3}, {}};
       }},
      {"bad_words[0]", "-5", ">= 0",
       [](auto& o) {
         o.bad_words = {{3, -5}};
       }},
      {"forced_bos", "-1", ">= 0", [](auto& o) { o.forced_bos = -1; }},
      {"forced_eos", "-1", ">= 0", [](auto& o) { o.forced_eos = -1; }},
  };
  for (const auto& test : cases) {
    DecodingOptions options;
    test.spoil(options);
    EXPECT_THAT(Validate(options), Optional(AllOf(HasSubstr(test.field), HasSubstr(test.value), HasSubstr(test.right))))
        << test.field << " " << test.value;
  }
}

TEST(ValidateIds, RefusesIdsThatTheVocabularyLacks) {
  DecodingOptions options;
  options.bad_words = {{4}, {3, 2}};
  options.forced_bos = 4;
  options.forced_eos = 1;
  EXPECT_EQ(ValidateIds(options, 5), std::nullopt);
  EXPECT_THAT(ValidateIds(options, 4), Optional(AllOf(HasSubstr("bad_words[0]"), HasSubstr("vocab_size = 4"))));
  options.bad_words.clear();
  EXPECT_THAT(ValidateIds(options, 4), Optional(AllOf(HasSubstr("forced_bos is 4"), HasSubstr("[0, vocab_size"))));
  options.forced_bos.reset();
  EXPECT_THAT(ValidateIds(options, 1), Optional(HasSubstr("forced_eos is 1")));
}

TEST(MaxRows, AreBeamsOrSamples) {
  DecodingOptions options;
  EXPECT_EQ(MaxRows(options), 1);
  options.num_beams = 4;
  options.num_return_sequences = 2;
  EXPECT_EQ(MaxRows(options), 4);
}

}  // namespace
}  // namespace petit::decoding
