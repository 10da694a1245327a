#include "server/rpc/translate_options.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/rpc/fake_models.h"

namespace petit::serving {
namespace {

using testing::HasSubstr;
using testing::Not;

v1::TranslateOptions Options(const std::string& text) {
  v1::TranslateOptions options;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &options)) << text;
  return options;
}

TEST(ModelReferenceTest, FourSpellingsNameAModel) {
  const struct {
    const char* text;
    const char* name;
    int version;
  } cases[] = {{"student", "student", 0},
               {"models/student", "student", 0},
               {"student/versions/2", "student", 2},
               {"models/student/versions/12", "student", 12},
               {"models", "models", 0}};
  for (const auto& [text, name, version] : cases) {
    const absl::StatusOr<ModelReference> reference = ParseModelReference(text);
    ASSERT_TRUE(reference.ok()) << reference.status();
    EXPECT_EQ(reference->name, name);
    EXPECT_EQ(reference->version, version);
  }
}

TEST(ModelReferenceTest, AnythingElseIsRefusedWithTheRightForm) {
  for (const char* text : {"", "models/", "/", "student/", "student/2", "student/versions/", "student/versions/0",
                           "student/versions/-1", "student/versions/2/x", "student/versions/99999999999999999999"}) {
    const absl::Status status = ParseModelReference(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("must")) << text;
  }
}

TEST(ModelReferenceTest, ALongNameIsNotRepeated) {
  const absl::Status status = ParseModelReference(std::string(100'000, 'x')).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_LT(status.message().size(), 200);
}

class PlanTest : public testing::Test {
 protected:
  absl::StatusOr<TranslationPlan> Plan(const std::string& options) {
    return MakePlan(Options(R"(source_language: "en" target_language: "fr" )" + options), model_, limits_);
  }

  static ModelSettings Settings() {
    ModelSettings settings = FakeSettings("student");
    settings.default_decoding.max_new_tokens = 77;
    settings.default_decoding.num_beams = 2;
    settings.max_new_tokens_limit = 200;
    settings.max_beams_limit = 8;
    settings.batching.max_rows = 6;
    return settings;
  }

  RequestLimits limits_;
  ModelHandle model_ = MakeFakeModel(Settings(), 1);
};

TEST_F(PlanTest, WhatIsNotSetComesFromTheModel) {
  const auto plan = Plan("");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->decoding.max_new_tokens, 77);
  EXPECT_EQ(plan->decoding.num_beams, 2);
  EXPECT_EQ(plan->prompt, "");
  EXPECT_EQ(plan->num_alternatives, 1);
  EXPECT_FALSE(plan->random_seed);
}

TEST_F(PlanTest, WhatIsSetIsTaken) {
  const auto plan = Plan(R"(num_alternatives: 3 decoding {
    max_new_tokens: 9 min_new_tokens: 2 num_beams: 4 length_penalty: 0.5 early_stopping: EARLY_STOPPING_NEVER
    repetition_penalty: 1.5 no_repeat_ngram_size: 3 })");
  ASSERT_TRUE(plan.ok()) << plan.status();
  const decoding::DecodingOptions& decoding = plan->decoding;
  EXPECT_EQ(decoding.max_new_tokens, 9);
  EXPECT_EQ(decoding.min_new_tokens, 2);
  EXPECT_EQ(decoding.num_beams, 4);
  EXPECT_EQ(decoding.length_penalty, 0.5F);
  EXPECT_EQ(decoding.early_stopping, decoding::EarlyStopping::kNever);
  EXPECT_EQ(decoding.repetition_penalty, 1.5F);
  EXPECT_EQ(decoding.no_repeat_ngram_size, 3);
  EXPECT_EQ(decoding.num_return_sequences, 3);
}

TEST_F(PlanTest, SamplingNeedsNoNumBeamsEvenWhereTheModelSearches) {
  const auto plan = Plan("num_alternatives: 5 decoding { do_sample: true temperature: 0.7 top_k: 0 top_p: 0.9 }");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->decoding.num_beams, 1);
  EXPECT_EQ(plan->decoding.num_return_sequences, 5);
  EXPECT_TRUE(plan->random_seed);
  const auto seeded = Plan("decoding { do_sample: true seed: 42 }");
  ASSERT_TRUE(seeded.ok());
  EXPECT_EQ(seeded->decoding.seed, 42);
  EXPECT_FALSE(seeded->random_seed);
}

TEST_F(PlanTest, BadOptionsNameTheFieldAndWhatIsRight) {
  const struct {
    const char* options;
    const char* field;
    const char* right;
  } cases[] = {
      {"decoding { max_new_tokens: 0 }", "max_new_tokens", "1"},
      {"decoding { max_new_tokens: 201 }", "max_new_tokens", "200"},
      {"decoding { min_new_tokens: 78 }", "min_new_tokens", ""},
      {"decoding { num_beams: 0 }", "num_beams", "1"},
      {"decoding { num_beams: 9 }", "num_beams", "8"},
      {"decoding { num_beams: 7 }", "num_beams", "6"},
      {"decoding { length_penalty: nan }", "length_penalty", "finite"},
      {"decoding { repetition_penalty: 0 }", "repetition_penalty", ""},
      {"decoding { repetition_penalty: inf }", "repetition_penalty", "finite"},
      {"decoding { no_repeat_ngram_size: -1 }", "no_repeat_ngram_size", "0"},
      {"decoding { do_sample: true num_beams: 2 }", "num_beams", "1"},
      {"decoding { do_sample: true temperature: 0 }", "temperature", ""},
      {"decoding { do_sample: true top_k: -1 }", "top_k", "0"},
      {"decoding { do_sample: true top_p: 1.5 }", "top_p", "1"},
      {"num_alternatives: -1", "num_alternatives", "0"},
      {"num_alternatives: 3", "num_alternatives", "2"},
      {"num_alternatives: 7 decoding { do_sample: true }", "num_alternatives", "6"},
      {"num_alternatives: 2 split_paragraphs: true", "num_alternatives", "split_paragraphs"},
  };
  for (const auto& [options, field, right] : cases) {
    const absl::Status status = Plan(options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << options;
    EXPECT_THAT(std::string(status.message()), HasSubstr(field)) << options;
    EXPECT_THAT(std::string(status.message()), HasSubstr(right)) << options;
  }
}

TEST_F(PlanTest, UnknownEarlyStoppingIsRefused) {
  v1::TranslateOptions options = Options(R"(source_language: "en" target_language: "fr")");
  options.mutable_decoding()->set_early_stopping(static_cast<v1::DecodingOptions::EarlyStopping>(9));
  EXPECT_THAT(std::string(MakePlan(options, model_, limits_).status().message()), HasSubstr("early_stopping is 9"));
}

TEST_F(PlanTest, AnUnknownPairListsTheConfiguredOnes) {
  const absl::Status status =
      MakePlan(Options(R"(source_language: "en" target_language: "ko")"), model_, limits_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"ko\""));
  EXPECT_THAT(std::string(status.message()), HasSubstr("en to fr, en to de"));
}

TEST_F(PlanTest, MissingAndHugeLanguagesAreRefused) {
  EXPECT_THAT(std::string(MakePlan(Options(R"(source_language: "en")"), model_, limits_).status().message()),
              HasSubstr("target_language is empty"));
  const absl::Status status =
      MakePlan(Options(R"(target_language: "fr" source_language: ")" + std::string(5000, 'x') + "\""), model_, limits_)
          .status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("(5000 bytes)"));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("xxx")));
}

TEST_F(PlanTest, PromptOverrideNeedsNoLanguagesAndMayBeEmpty) {
  for (const std::string prompt : {"", "say: "}) {
    v1::TranslateOptions options;
    options.set_prompt_override(prompt);
    const auto plan = MakePlan(options, model_, limits_);
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_EQ(plan->prompt, prompt);
  }
  v1::TranslateOptions options;
  options.set_prompt_override(std::string(limits_.max_text_bytes + 1, 'x'));
  EXPECT_THAT(std::string(MakePlan(options, model_, limits_).status().message()), HasSubstr("prompt_override"));
}

}  // namespace
}  // namespace petit::serving
