#include "server/rpc/translate_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "tests/unit/rpc/fake_models.h"

namespace petit::serving {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class TranslateRequestTest : public testing::Test {
 protected:
  TranslateRequestTest() {
    limits_.max_text_bytes = 300;
    ModelSettings settings = FakeSettings("student");
    settings.max_source_tokens = 100;
    settings.batching.max_queue_length = 8;
    UseModel(settings, {});
  }

  void UseModel(const ModelSettings& settings, const FakeModelOptions& options) {
    plan_.model = MakeFakeModel(settings, 3, options);
    plan_.decoding.max_new_tokens = 64;
  }

  absl::StatusOr<PreparedText> Prepare(std::string_view text) { return PrepareText(plan_, limits_, text); }

  // Submits and waits.
  absl::StatusOr<std::vector<SequenceResults>> Run(const std::vector<PreparedText>& texts) {
    std::vector<const PreparedText*> pointers;
    for (const PreparedText& text : texts) pointers.push_back(&text);
    std::vector<SequenceResults> results;
    absl::Notification done;
    const absl::Status status = SubmitTexts(plan_, pointers, {}, [&](std::vector<SequenceResults> got) {
      results = std::move(got);
      done.Notify();
    });
    if (!status.ok()) return status;
    done.WaitForNotification();
    return results;
  }

  v1::Translation Translate(std::string_view text) {
    const absl::StatusOr<PreparedText> prepared = Prepare(text);
    EXPECT_TRUE(prepared.ok()) << prepared.status();
    if (!prepared.ok()) return {};
    const auto results = Run({*prepared});
    EXPECT_TRUE(results.ok()) << results.status();
    const absl::StatusOr<v1::Translation> translation = MakeTranslation(plan_, *prepared, results->at(0));
    EXPECT_TRUE(translation.ok()) << translation.status();
    return translation.value_or(v1::Translation());
  }

  RequestLimits limits_;
  TranslationPlan plan_;
};

TEST_F(TranslateRequestTest, ATextGoesThereAndBack) {
  const v1::Translation translation = Translate("a small house");
  EXPECT_EQ(translation.text(), "a small house");
  EXPECT_EQ(translation.finish_reason(), v1::FINISH_REASON_EOS);
  EXPECT_EQ(translation.source_tokens(), static_cast<int>(plan_.model->tokenizer->Encode("a small house").ids.size()));
  EXPECT_EQ(translation.target_tokens(), translation.source_tokens());  // the script copies, EOS included
  EXPECT_EQ(translation.model(), "student");
  EXPECT_EQ(translation.model_version(), 3);
  EXPECT_EQ(translation.model_digest(), "digest of version 3");
  EXPECT_THAT(translation.alternatives(), SizeIs(0));
}

TEST_F(TranslateRequestTest, ThePromptComesBeforeTheText) {
  plan_.prompt = "to german: ";
  EXPECT_EQ(Translate("a house").text(), "to german: a house");
}

TEST_F(TranslateRequestTest, EmptyAndBlankTextsAreRefused) {
  for (const char* text : {"", " ", "\n\t", "\u00a0\u3000"}) {
    for (const bool split : {false, true}) {
      plan_.split_paragraphs = split;
      const absl::Status status = Prepare(text).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(std::string(status.message()), HasSubstr("empty"));
    }
  }
}

TEST_F(TranslateRequestTest, TooManyBytesAreRefusedWithBothNumbers) {
  for (const bool split : {false, true}) {
    plan_.split_paragraphs = split;
    const absl::Status status = Prepare(std::string(301, '\n') + "a").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("302"));
    EXPECT_THAT(std::string(status.message()), HasSubstr("300"));
  }
}

TEST_F(TranslateRequestTest, TooManyTokensAreRefusedWithBothNumbers) {
  std::string text;
  while (plan_.model->tokenizer->Encode(text).ids.size() <= 100) text += "q z ";
  const auto tokens = plan_.model->tokenizer->Encode(text).ids.size();
  const absl::Status status = Prepare(text).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "the text has " + std::to_string(tokens) + " tokens with its prompt; this model takes 100");
  plan_.split_paragraphs = true;
  EXPECT_THAT(std::string(Prepare("fine\n" + text).status().message()), HasSubstr("text's paragraph 2 has"));
}

TEST_F(TranslateRequestTest, UnknownSourceTokensAreCounted) {
  const absl::StatusOr<PreparedText> prepared = Prepare("a \u4e2d b");
  ASSERT_TRUE(prepared.ok());
  EXPECT_EQ(prepared->unknown_source_tokens, plan_.model->tokenizer->Encode("a \u4e2d b").unknown);
}

TEST_F(TranslateRequestTest, ParagraphsKeepTheirNewlinesAndBlankOnesCostNothing) {
  plan_.split_paragraphs = true;
  const std::string text = "\n\none\r\n \n\ntwo words\n";
  const absl::StatusOr<PreparedText> prepared = Prepare(text);
  ASSERT_TRUE(prepared.ok());
  EXPECT_THAT(prepared->sources, SizeIs(2));
  const v1::Translation translation = Translate(text);
  EXPECT_EQ(translation.text(), "\n\none\r\n\n\ntwo words\n");
  EXPECT_EQ(translation.source_tokens(), translation.target_tokens());
  EXPECT_EQ(translation.source_tokens(), static_cast<int>(prepared->sources[0].size() + prepared->sources[1].size()));
}

TEST_F(TranslateRequestTest, WithoutSplittingATextIsOneSequenceAndItsNewlinesAreLost) {
  EXPECT_THAT(Prepare("one\ntwo")->sources, SizeIs(1));
  EXPECT_THAT(Translate("one\ntwo").text(), Not(HasSubstr("\n")));
}

TEST_F(TranslateRequestTest, MoreParagraphsThanTheQueueTakesAreRefused) {
  plan_.split_paragraphs = true;
  EXPECT_TRUE(Prepare("a\na\na\na\na\na\na\na\n\n\n").ok());
  const absl::Status status = Prepare("a\na\na\na\na\na\na\na\na").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("9 paragraphs"));
}

TEST_F(TranslateRequestTest, OneCutParagraphMakesTheWholeCut) {
  plan_.split_paragraphs = true;
  plan_.decoding.max_new_tokens = static_cast<int>(plan_.model->tokenizer->Encode("a").ids.size());
  EXPECT_EQ(Translate("a\na").finish_reason(), v1::FINISH_REASON_EOS);
  EXPECT_EQ(Translate("a\nlonger than that").finish_reason(), v1::FINISH_REASON_LENGTH);
}

TEST_F(TranslateRequestTest, TheJoinedScoreIsThatOfAllTokensTogether) {
  plan_.split_paragraphs = true;
  plan_.decoding.length_penalty = 2.0F;
  const auto prepared = Prepare("one\ntwo words");
  ASSERT_TRUE(prepared.ok());
  const auto results = Run({*prepared});
  ASSERT_TRUE(results.ok());
  double sum = 0;
  int tokens = 0;
  for (const auto& result : results->at(0)) {
    for (const float value : result->hypotheses[0].token_log_probs) {
      sum += value;
      ++tokens;
    }
  }
  const auto translation = MakeTranslation(plan_, *prepared, results->at(0));
  EXPECT_NEAR(translation->score(), sum / std::pow(tokens, 2.0), 1e-6);
}

TEST_F(TranslateRequestTest, TimingsAreTheLongestOfTheParagraphs) {
  plan_.split_paragraphs = true;
  const auto prepared = Prepare("a\nb");
  ASSERT_TRUE(prepared.ok());
  SequenceResults results;
  for (const int seconds : {2, 1}) {
    engine::SequenceResult result;
    result.hypotheses.resize(1);
    result.timing = {.queue = absl::Seconds(seconds),
                     .encode = absl::Seconds(3 - seconds),
                     .first_token = absl::Milliseconds(1500),
                     .total = absl::Seconds(seconds * 10)};
    results.emplace_back(result);
  }
  const auto translation = MakeTranslation(plan_, *prepared, results);
  ASSERT_TRUE(translation.ok());
  EXPECT_EQ(translation->timing().queue().seconds(), 2);
  EXPECT_EQ(translation->timing().encode().seconds(), 2);
  EXPECT_EQ(translation->timing().first_token().seconds(), 1);
  EXPECT_EQ(translation->timing().first_token().nanos(), 500'000'000);
  EXPECT_EQ(translation->timing().total().seconds(), 20);
}

TEST_F(TranslateRequestTest, AlternativesAreListedBestFirstWhereAskedFor) {
  UseModel(FakeSettings("student"), {.script = engine::HashScript(TinyTokenizer()->size(), 7)});
  plan_.decoding.max_new_tokens = 6;
  plan_.decoding.num_beams = 3;
  plan_.decoding.num_return_sequences = plan_.num_alternatives = 3;
  const v1::Translation translation = Translate("a house");
  ASSERT_THAT(translation.alternatives(), SizeIs(3));
  EXPECT_EQ(translation.alternatives(0).text(), translation.text());
  EXPECT_EQ(translation.alternatives(0).score(), translation.score());
  EXPECT_GE(translation.alternatives(0).score(), translation.alternatives(1).score());
  EXPECT_GE(translation.alternatives(1).score(), translation.alternatives(2).score());
}

TEST_F(TranslateRequestTest, ASampleDependsOnSeedAndTextNotOnItsNeighbours) {
  UseModel(FakeSettings("student"), {.script = engine::HashScript(TinyTokenizer()->size(), 7)});
  plan_.decoding.max_new_tokens = 8;
  plan_.decoding.do_sample = true;
  plan_.decoding.seed = 11;
  const auto a = Prepare("a house");
  const auto b = Prepare("two trees");
  const auto together = Run({*b, *a, *a});
  const auto alone = Run({*a});
  ASSERT_TRUE(together.ok() && alone.ok());
  const auto& ids = alone->at(0)[0]->hypotheses[0].ids;
  EXPECT_EQ(together->at(1)[0]->hypotheses[0].ids, ids);
  EXPECT_EQ(together->at(2)[0]->hypotheses[0].ids, ids);
}

TEST_F(TranslateRequestTest, WithoutASeedEachTextDrawsItsOwn) {
  UseModel(FakeSettings("student"), {.script = engine::HashScript(TinyTokenizer()->size(), 7)});
  plan_.decoding.max_new_tokens = 32;
  plan_.decoding.do_sample = true;
  plan_.random_seed = true;
  const auto text = Prepare("a house");
  const auto results = Run({*text, *text});
  ASSERT_TRUE(results.ok());
  EXPECT_NE(results->at(0)[0]->hypotheses[0].ids, results->at(1)[0]->hypotheses[0].ids);
}

TEST_F(TranslateRequestTest, MoreTextsThanTheQueueTakesAreRefusedAsAWhole) {
  const auto text = Prepare("a");
  const absl::Status status = Run(std::vector<PreparedText>(9, *text)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("queue"));
  const auto results = Run(std::vector<PreparedText>(8, *text));
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_THAT(*results, Each(ElementsAre(testing::Property(&absl::StatusOr<engine::SequenceResult>::ok, true))));
}

TEST_F(TranslateRequestTest, AFailedParagraphFailsItsText) {
  UseModel(FakeSettings("student"),
           {.before = engine::FailCall(engine::Call::Kind::kStep, 0, absl::InternalError("broken device"))});
  plan_.split_paragraphs = true;
  const auto prepared = Prepare("a\nb");
  const auto results = Run({*prepared});
  ASSERT_TRUE(results.ok());
  EXPECT_EQ(MakeTranslation(plan_, *prepared, results->at(0)).status().code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace petit::serving
