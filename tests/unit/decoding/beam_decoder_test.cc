// What goldens cannot say of beam search: which rows it asks for, and how it takes bad answers.
#include "models/decoding/beam_decoder.h"

#include <cmath>
#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/decoding/hashed_table.h"
#include "tests/unit/decoding/table_model.h"

namespace petit::decoding {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

DecodingOptions Beams(int num_beams) {
  DecodingOptions options;
  options.num_beams = options.num_return_sequences = num_beams;
  options.max_new_tokens = 8;
  return options;
}

std::vector<RowResult> Rows(std::vector<std::vector<Candidate>> rows) {
  std::vector<RowResult> results(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) results[i].best = std::move(rows[i]);
  return results;
}

TEST(BeamSearch, BeginsWithOneRowForAllBeams) {
  const auto decoder = MakeDecoder(Beams(4), {.decoder_start = 6}, 0);
  ASSERT_THAT(decoder->rows(), SizeIs(1));
  EXPECT_EQ(decoder->rows()[0].parent, -1);
  EXPECT_EQ(decoder->rows()[0].token, 6);
  EXPECT_EQ(decoder->rows()[0].space, ScoreSpace::kLogProbs);
  EXPECT_FALSE(decoder->rows()[0].full_row);
  EXPECT_FALSE(decoder->done());
}

TEST(BeamSearch, AsksForAsManyCandidatesAsUpstreamRanks) {
  EXPECT_EQ(MakeDecoder(Beams(4), {}, 0)->rows()[0].num_best, 8);
  EXPECT_EQ(MakeDecoder(Beams(4), {.eos = {1, 2, 3}}, 0)->rows()[0].num_best, 16);
  EXPECT_EQ(MakeDecoder(Beams(4), {.eos = {}}, 0)->rows()[0].num_best, 8);
}

TEST(BeamSearch, ChildrenNameTheRowThatTheyExtend) {
  const auto decoder = MakeDecoder(Beams(2), {}, 0);
  decoder->Advance(Rows({{{5, -0.1f}, {6, -0.2f}, {7, -3}, {8, -4}}}));
  ASSERT_THAT(decoder->rows(), SizeIs(2));
  EXPECT_EQ(decoder->rows()[0].token, 5);
  EXPECT_EQ(decoder->rows()[1].token, 6);
  EXPECT_EQ(decoder->rows()[1].parent, 0);
  // Both survivors extend the second beam: the first beam's row is not stepped again.
  decoder->Advance(Rows({{{7, -9}, {8, -9}, {9, -9}, {4, -9}}, {{7, -0.1f}, {8, -0.2f}, {9, -5}, {4, -6}}}));
  ASSERT_THAT(decoder->rows(), SizeIs(2));
  EXPECT_EQ(decoder->rows()[0].parent, 1);
  EXPECT_EQ(decoder->rows()[1].parent, 1);
  EXPECT_EQ(decoder->rows()[0].token, 7);
  EXPECT_EQ(decoder->rows()[1].token, 8);
}

TEST(BeamSearch, BeamsWithTheSameIdsShareARow) {
  DecodingOptions options = Beams(4);
  options.forced_bos = 3;
  const TableModel model(HashedTable(1, 40, 4));
  const auto decoder = MakeDecoder(options, {}, 0);
  TableRunner runner(model);
  decoder->Advance(runner.Step(decoder->rows()));
  ASSERT_THAT(decoder->rows(), SizeIs(1));  // the forced id is every beam's only continuation
  EXPECT_EQ(decoder->rows()[0].token, 3);
  decoder->Advance(runner.Step(decoder->rows()));
  EXPECT_THAT(decoder->rows(), SizeIs(4));
}

TEST(BeamSearch, NoTwoRowsOfAStepHaveTheSameHistory) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const TableModel model(HashedTable(seed, 5, 4), HashedTable(seed + 1000, 5, 2));
    DecodingOptions options = Beams(5);
    options.bad_words = {{2}, {3, 4}};
    const auto decoder = MakeDecoder(options, {}, 0);
    TableRunner runner(model);
    while (!decoder->done()) {
      EXPECT_LE(decoder->rows().size(), 5u);
      EXPECT_GE(decoder->rows().size(), 1u);
      decoder->Advance(runner.Step(decoder->rows()));
      const auto& histories = runner.histories();
      EXPECT_EQ(std::set(histories.begin(), histories.end()).size(), histories.size());
    }
    EXPECT_THAT(decoder->rows(), IsEmpty());
    EXPECT_LE(decoder->steps(), 8);
  }
}

TEST(BeamSearch, EqualSumsGoToTheLowerBeamThenTheLowerId) {
  const auto decoder = MakeDecoder(Beams(2), {}, 0);
  decoder->Advance(Rows({{{5, -1}, {6, -1}, {7, -1}, {8, -1}}}));
  EXPECT_EQ(decoder->rows()[0].token, 5);
  EXPECT_EQ(decoder->rows()[1].token, 6);
  decoder->Advance(Rows({{{7, -2}, {8, -2}, {9, -5}, {10, -5}}, {{3, -1}, {4, -2}, {9, -5}, {10, -5}}}));
  ASSERT_THAT(decoder->rows(), SizeIs(2));
  EXPECT_EQ(decoder->rows()[0].token, 3);
  EXPECT_EQ(decoder->rows()[1].token, 7);
  EXPECT_EQ(decoder->rows()[1].parent, 0);
}

TEST(BeamSearch, AmongEqualResultsTheOlderStays) {
  DecodingOptions options = Beams(2);
  options.length_penalty = 0;
  options.num_return_sequences = 2;
  options.early_stopping = EarlyStopping::kNever;
  const auto decoder = MakeDecoder(options, {}, 0);
  decoder->Advance(Rows({{{1, -1}, {5, -1}, {6, -1.5f}, {7, -9}}}));
  decoder->Advance(Rows({{{1, 0}, {8, -5}, {9, -6}, {7, -9}}, {{8, -7}, {9, -7.5f}, {4, -8}, {7, -9}}}));
  ASSERT_TRUE(decoder->done());
  const std::vector<Hypothesis> hypotheses = decoder->Hypotheses();
  ASSERT_THAT(hypotheses, SizeIs(2));
  EXPECT_THAT(hypotheses[0].ids, IsEmpty());
  EXPECT_THAT(hypotheses[1].ids, ElementsAre(5));
}

// With a negative penalty shorter is better, so "never" too bounds by the current length.
TEST(BeamSearch, NeverBoundsByTheLongestLengthOnlyWhereLongIsFavoured) {
  DecodingOptions options = Beams(2);
  options.length_penalty = -1;
  options.early_stopping = EarlyStopping::kNever;
  const auto decoder = MakeDecoder(options, {}, 0);
  decoder->Advance(Rows({{{1, -0.1f}, {5, -0.2f}, {6, -3}, {7, -9}}}));
  decoder->Advance(Rows({{{7, -0.1f}, {1, -0.7f}, {8, -9}, {9, -9}}, {{7, -9}, {8, -9}, {9, -9}, {4, -9}}}));
  ASSERT_FALSE(decoder->done());  // -0.3 * 2 beats -0.9 * 2; -0.3 * 8 would not
  decoder->Advance(Rows({{{1, -0.01f}, {7, -9}, {8, -9}, {9, -9}}, {{7, -9}, {8, -9}, {9, -9}, {4, -9}}}));
  ASSERT_TRUE(decoder->done());
  EXPECT_THAT(decoder->Hypotheses()[1].ids, ElementsAre(5, 7));
}

TEST(BeamSearch, EndsAtMaxNewTokensThoughFewerThanNumBeamsCouldFinish) {
  DecodingOptions options = Beams(2);
  options.max_new_tokens = 2;
  const auto decoder = MakeDecoder(options, {}, 0);
  decoder->Advance(Rows({{{5, -0.1f}, {6, -0.2f}, {7, -3}, {8, -9}}}));
  const std::vector<Candidate> banned = {{0, kNegInf}, {1, kNegInf}, {2, kNegInf}, {3, kNegInf}};
  std::vector<Candidate> only_eos = banned;
  only_eos[0] = {1, -0.3f};
  only_eos[1] = {0, kNegInf};
  decoder->Advance(Rows({banned, only_eos}));
  ASSERT_TRUE(decoder->done());
  const std::vector<Hypothesis> hypotheses = decoder->Hypotheses();
  ASSERT_THAT(hypotheses, SizeIs(1));
  EXPECT_THAT(hypotheses[0].ids, ElementsAre(6));
}

TEST(BeamSearch, ScoresAreTheSumOfTokenLogProbsOverTheLength) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const TableModel model(HashedTable(seed, 40, 4), HashedTable(seed + 1000, 40, 2));
    DecodingOptions options = Beams(4);
    options.length_penalty = 0.5f;
    const std::vector<Hypothesis> hypotheses = DecodeWithTable(model, options);
    ASSERT_THAT(hypotheses, SizeIs(4));
    for (std::size_t i = 0; i < hypotheses.size(); ++i) {
      if (i > 0) {
        EXPECT_LE(hypotheses[i].score, hypotheses[i - 1].score);
      }
      double sum = 0;
      for (const float log_prob : hypotheses[i].token_log_probs) sum += log_prob;
      EXPECT_NEAR(hypotheses[i].score, sum / std::sqrt(hypotheses[i].token_log_probs.size()), 1e-4);
    }
  }
}

TEST(BeamSearch, WhereEverythingIsBannedTheResultIsEmptyWithUpstreamsSentinel) {
  const auto decoder = MakeDecoder(Beams(2), {}, 0);
  decoder->Advance(Rows({{{0, kNegInf}, {1, kNegInf}, {2, kNegInf}, {3, kNegInf}}}));
  ASSERT_TRUE(decoder->done());
  const std::vector<Hypothesis> hypotheses = decoder->Hypotheses();
  ASSERT_THAT(hypotheses, SizeIs(1));
  EXPECT_THAT(hypotheses[0].ids, IsEmpty());
  EXPECT_EQ(hypotheses[0].score, -1e9f);
  EXPECT_EQ(hypotheses[0].finish_reason, FinishReason::kLength);
}

TEST(BeamSearch, NanCountsAsImpossible) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto decoder = MakeDecoder(Beams(2), {}, 0);
  decoder->Advance(Rows({{{5, nan}, {6, -0.5f}, {7, -1}, {8, nan}}}));
  ASSERT_THAT(decoder->rows(), SizeIs(2));
  EXPECT_EQ(decoder->rows()[0].token, 6);
  EXPECT_EQ(decoder->rows()[1].token, 7);
  decoder->Advance(Rows({{{5, nan}, {6, nan}}, {{5, nan}, {6, nan}}}));
  EXPECT_TRUE(decoder->done());
}

TEST(BeamSearch, AbsurdLengthPenaltiesStayFinite) {
  const TableModel model(HashedTable(4, 5, 4));
  for (const float penalty : {-1000.0f, 1000.0f}) {
    DecodingOptions options = Beams(2);
    options.length_penalty = penalty;
    for (const Hypothesis& hypothesis : DecodeWithTable(model, options)) EXPECT_FALSE(std::isnan(hypothesis.score));
  }
}

TEST(BeamSearch, AVocabularyOfTwoIsEnough) {
  const TableModel model({{-0.1f, -2.0f}, {-0.1f, -2.0f}});
  DecodingOptions options = Beams(3);
  options.max_new_tokens = 4;
  EXPECT_FALSE(DecodeWithTable(model, options).empty());
}

}  // namespace
}  // namespace petit::decoding
