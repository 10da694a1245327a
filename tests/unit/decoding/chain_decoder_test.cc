#include "models/decoding/chain_decoder.h"

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <set>
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

RowResult Best(TokenId id, float log_prob) { return {{{id, log_prob}}, 0, {}}; }

std::vector<RowResult> One(TokenId id, float log_prob) { return {Best(id, log_prob)}; }

DecodingOptions Sampling(int samples) {
  DecodingOptions options;
  options.do_sample = true;
  options.num_return_sequences = samples;
  options.max_new_tokens = 12;
  options.seed = 5;
  return options;
}

TEST(Greedy, AsksForTheStartTokenThenFeedsItsOwnChoices) {
  const auto decoder = MakeDecoder({}, {.decoder_start = 9}, 0);
  ASSERT_THAT(decoder->rows(), SizeIs(1));
  EXPECT_EQ(decoder->rows()[0].parent, -1);
  EXPECT_EQ(decoder->rows()[0].token, 9);
  EXPECT_EQ(decoder->rows()[0].num_best, 1);
  EXPECT_FALSE(decoder->rows()[0].full_row);
  EXPECT_EQ(decoder->rows()[0].space, ScoreSpace::kLogits);
  decoder->Advance(One(5, -0.5f));
  ASSERT_THAT(decoder->rows(), SizeIs(1));
  EXPECT_EQ(decoder->rows()[0].parent, 0);
  EXPECT_EQ(decoder->rows()[0].token, 5);
  EXPECT_EQ(decoder->steps(), 1);
}

TEST(Greedy, EndsWithAnyEosAndLeavesItOutOfTheIds) {
  const auto decoder = MakeDecoder({}, {.eos = {1, 7}}, 0);
  decoder->Advance(One(5, -0.5f));
  decoder->Advance(One(7, -0.25f));
  ASSERT_TRUE(decoder->done());
  EXPECT_THAT(decoder->rows(), IsEmpty());
  const std::vector<Hypothesis> hypotheses = decoder->Hypotheses();
  ASSERT_THAT(hypotheses, SizeIs(1));
  EXPECT_THAT(hypotheses[0].ids, ElementsAre(5));
  EXPECT_THAT(hypotheses[0].token_log_probs, ElementsAre(-0.5f, -0.25f));
  EXPECT_FLOAT_EQ(hypotheses[0].score, -0.75f / 2);
  EXPECT_EQ(hypotheses[0].finish_reason, FinishReason::kEos);
}

TEST(Greedy, EndsAtMaxNewTokensWithoutEos) {
  DecodingOptions options;
  options.max_new_tokens = 2;
  const auto decoder = MakeDecoder(options, {}, 0);
  decoder->Advance(One(5, -0.5f));
  decoder->Advance(One(6, -0.5f));
  ASSERT_TRUE(decoder->done());
  EXPECT_THAT(decoder->Hypotheses()[0].ids, ElementsAre(5, 6));
}

TEST(Greedy, EosAsTheLastAllowedTokenIsAnEosFinish) {
  DecodingOptions options;
  options.max_new_tokens = 1;
  const auto decoder = MakeDecoder(options, {}, 0);
  decoder->Advance(One(1, -0.5f));
  const std::vector<Hypothesis> hypotheses = decoder->Hypotheses();
  EXPECT_THAT(hypotheses[0].ids, IsEmpty());
  EXPECT_EQ(hypotheses[0].finish_reason, FinishReason::kEos);
}

TEST(Greedy, NanCountsAsImpossible) {
  DecodingOptions options;
  options.max_new_tokens = 1;
  const auto decoder = MakeDecoder(options, {}, 0);
  decoder->Advance(One(3, std::numeric_limits<float>::quiet_NaN()));
  EXPECT_EQ(decoder->Hypotheses()[0].score, kNegInf);
}

TEST(Sampling, SharesTheFirstRowAmongAllSamples) {
  const auto decoder = MakeDecoder(Sampling(4), {}, 0);
  EXPECT_THAT(decoder->rows(), SizeIs(1));
  RowResult row;
  for (TokenId id = 2; id < 66; ++id) row.best.push_back({id, -std::log(64.0f)});
  decoder->Advance(std::vector<RowResult>{row});
  ASSERT_THAT(decoder->rows(), SizeIs(4));
  for (const RowRequest& request : decoder->rows()) EXPECT_EQ(request.parent, 0);
}

TEST(Sampling, AsksForTheFullRowOnlyWhereTopKIsZero) {
  DecodingOptions options = Sampling(1);
  EXPECT_FALSE(MakeDecoder(options, {}, 0)->rows()[0].full_row);
  EXPECT_GE(MakeDecoder(options, {}, 0)->rows()[0].num_best, options.top_k);
  options.top_k = 0;
  EXPECT_TRUE(MakeDecoder(options, {}, 0)->rows()[0].full_row);
}

TEST(Sampling, GivesAllSamplesBestFirst) {
  const TableModel model(HashedTable(3, 40, 4));
  const std::vector<Hypothesis> samples = DecodeWithTable(model, Sampling(6));
  ASSERT_THAT(samples, SizeIs(6));
  std::set<std::vector<TokenId>> distinct;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (i > 0) {
      EXPECT_LE(samples[i].score, samples[i - 1].score);
    }
    float sum = 0;
    for (const float log_prob : samples[i].token_log_probs) sum += log_prob;
    EXPECT_FLOAT_EQ(samples[i].score, sum / static_cast<float>(samples[i].token_log_probs.size()));
    distinct.insert(samples[i].ids);
  }
  EXPECT_GT(distinct.size(), 1u);
}

TEST(Sampling, LogProbsAreThoseBeforeTheFilters) {
  const TableModel model(HashedTable(3, 40, 4));
  DecodingOptions options = Sampling(1);
  options.temperature = 0.5f;
  options.top_p = 0.3f;
  options.max_new_tokens = 1;
  const Hypothesis sample = DecodeWithTable(model, options)[0];
  RowRequest request;
  request.full_row = true;
  const TokenId id = sample.ids.empty() ? 1 : sample.ids[0];
  const std::vector<TokenId> start = {0};
  EXPECT_FLOAT_EQ(sample.token_log_probs[0], AnswerRow(model.Logits(start), request).full_row[id]);
}

// A sample is keyed by (seed, sequence, sample, step): what else is asked for does not matter.
TEST(Sampling, DoesNotDependOnTheCompany) {
  const TableModel model(HashedTable(3, 40, 4));
  std::map<std::vector<TokenId>, int> alone;
  for (int samples = 1; samples <= 5; ++samples) {
    std::map<std::vector<TokenId>, int> found;
    for (const Hypothesis& sample : DecodeWithTable(model, Sampling(samples), {}, 8)) ++found[sample.ids];
    // Whatever fewer samples gave is among the more.
    for (const auto& [ids, count] : alone) EXPECT_GE(found[ids], count);
    alone = found;
  }
}

TEST(Sampling, SameSeedSameSampleAndAnotherSeedOrPlaceAnother) {
  const TableModel model(HashedTable(3, 40, 4));
  DecodingOptions options = Sampling(1);
  const std::vector<TokenId> ids = DecodeWithTable(model, options, {}, 2)[0].ids;
  EXPECT_EQ(DecodeWithTable(model, options, {}, 2)[0].ids, ids);
  EXPECT_NE(DecodeWithTable(model, options, {}, 3)[0].ids, ids);
  options.seed = 6;
  EXPECT_NE(DecodeWithTable(model, options, {}, 2)[0].ids, ids);
}

TEST(Sampling, EveryStepDrawsAnew) {
  const TableModel model(std::vector<std::vector<float>>(40, std::vector<float>(40, 0)));
  DecodingOptions options = Sampling(1);
  options.min_new_tokens = options.max_new_tokens;
  const std::vector<TokenId> ids = DecodeWithTable(model, options)[0].ids;
  EXPECT_GT(std::set(ids.begin(), ids.end()).size(), 6u);
}

TEST(Sampling, TopKOfOneIsGreedySearch) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const TableModel model(HashedTable(seed, 40, 4), HashedTable(seed + 100, 40, 2));
    DecodingOptions options = Sampling(1);
    options.top_k = 1;
    options.no_repeat_ngram_size = 2;
    const std::vector<TokenId> sampled = DecodeWithTable(model, options)[0].ids;
    options.do_sample = false;
    EXPECT_EQ(DecodeWithTable(model, options)[0].ids, sampled);
  }
}

// Samples end at different steps; the rows of the others must keep their own parents.
TEST(Sampling, RowsKeepTheirParentsWhileOthersEnd) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<std::vector<float>> table = HashedTable(seed, 10, 2);
    for (std::vector<float>& row : table) row[1] += 1;
    const TableModel model(table, HashedTable(seed + 100, 10, 2));
    DecodingOptions options = Sampling(5);
    options.seed = seed;
    const auto decoder = MakeDecoder(options, {}, 0);
    TableRunner runner(model);
    std::set<std::vector<TokenId>> stepped;
    while (!decoder->done()) {
      decoder->Advance(runner.Step(decoder->rows()));
      for (std::vector<TokenId> history : runner.histories()) {
        history.erase(history.begin());
        stepped.insert(history);
      }
    }
    for (const Hypothesis& sample : decoder->Hypotheses()) {
      std::vector<TokenId> inputs = sample.ids;
      if (sample.finish_reason == FinishReason::kLength) inputs.pop_back();
      EXPECT_TRUE(stepped.contains(inputs)) << ::testing::PrintToString(sample.ids);
    }
  }
}

}  // namespace
}  // namespace petit::decoding
