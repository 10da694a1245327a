#include "models/decoding/processors.h"

#include <initializer_list>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace petit::decoding {

bool operator==(const Edit& a, const Edit& b) { return a.id == b.id && a.kind == b.kind && a.value == b.value; }

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Edit Ban(TokenId id) { return {id, Edit::Kind::kBan, 0}; }
Edit Penalize(TokenId id, float value) { return {id, Edit::Kind::kPenalize, value}; }
Edit Force(TokenId id) { return {id, Edit::Kind::kForce, 0}; }

// Edits after the start token 0 and `generated`.
std::vector<Edit> EditsAfter(std::initializer_list<TokenId> generated, const DecodingOptions& options,
                             const SpecialTokens& special = {}) {
  const Processors processors(options, special);
  History history = processors.NewHistory();
  for (const TokenId id : generated) history.Append(id);
  std::vector<Edit> edits = {Ban(99)};  // must be replaced
  processors.MakeEdits(history, &edits);
  return edits;
}

TEST(Processors, AreSilentByDefault) {
  EXPECT_THAT(EditsAfter({}, {}), IsEmpty());
  EXPECT_THAT(EditsAfter({7, 7, 7, 7}, {}), IsEmpty());
}

TEST(RepetitionPenalty, TouchesEachDistinctIdOnceTheStartTokenIncluded) {
  DecodingOptions options;
  options.repetition_penalty = 1.5f;
  EXPECT_THAT(EditsAfter({}, options), ElementsAre(Penalize(0, 1.5f)));
  EXPECT_THAT(EditsAfter({7, 8, 7, 0}, options), ElementsAre(Penalize(0, 1.5f), Penalize(7, 1.5f), Penalize(8, 1.5f)));
}

TEST(NoRepeatNgram, BansEveryIdThatWouldCompleteAnOldNgram) {
  DecodingOptions options;
  options.no_repeat_ngram_size = 2;
  EXPECT_THAT(EditsAfter({}, options), IsEmpty());
  EXPECT_THAT(EditsAfter({5, 6, 5}, options), ElementsAre(Ban(6)));
  EXPECT_THAT(EditsAfter({5, 6, 5, 7, 5}, options), ElementsAre(Ban(6), Ban(7)));
  EXPECT_THAT(EditsAfter({5, 5}, options), ElementsAre(Ban(5)));
}

TEST(NoRepeatNgram, CountsTheStartToken) {
  DecodingOptions options;
  options.no_repeat_ngram_size = 2;
  EXPECT_THAT(EditsAfter({5, 0}, options), ElementsAre(Ban(5)));
  options.no_repeat_ngram_size = 3;
  EXPECT_THAT(EditsAfter({5, 6, 0, 5}, options), ElementsAre(Ban(6)));
}

TEST(NoRepeatNgram, OfOneBansAllThatCameBefore) {
  DecodingOptions options;
  options.no_repeat_ngram_size = 1;
  EXPECT_THAT(EditsAfter({5, 6, 5}, options), ElementsAre(Ban(0), Ban(5), Ban(6)));
}

TEST(NoRepeatNgram, IsSilentWhileTheHistoryIsShorter) {
  DecodingOptions options;
  options.no_repeat_ngram_size = 4;
  EXPECT_THAT(EditsAfter({}, options), IsEmpty());
  EXPECT_THAT(EditsAfter({0, 0}, options), IsEmpty());
  EXPECT_THAT(EditsAfter({0, 0, 0}, options), ElementsAre(Ban(0)));
}

TEST(BadWords, OfOneIdAreBannedAlwaysAndOfSeveralAfterTheirHead) {
  DecodingOptions options;
  options.bad_words = {{9}, {5, 6}, {7, 5, 8}};
  EXPECT_THAT(EditsAfter({}, options), ElementsAre(Ban(9)));
  EXPECT_THAT(EditsAfter({5}, options), ElementsAre(Ban(9), Ban(6)));
  EXPECT_THAT(EditsAfter({7, 5}, options), ElementsAre(Ban(9), Ban(6), Ban(8)));
  EXPECT_THAT(EditsAfter({5, 4}, options), ElementsAre(Ban(9)));
}

TEST(BadWords, MayBeginWithTheStartTokenOnlyInALongEnoughHistory) {
  DecodingOptions options;
  options.bad_words = {{0, 5}};
  EXPECT_THAT(EditsAfter({}, options), IsEmpty());  // two ids, one so far: upstream lets it pass
  EXPECT_THAT(EditsAfter({0}, options), ElementsAre(Ban(5)));
}

TEST(BadWords, CannotBanEosAlone) {
  DecodingOptions options;
  options.bad_words = {{1}, {2}, {5, 1}};
  EXPECT_THAT(EditsAfter({5}, options), ElementsAre(Ban(2), Ban(1)));
  EXPECT_THAT(EditsAfter({4}, options, {.eos = {1, 2}}), IsEmpty());
}

TEST(MinNewTokens, BansEveryEosUntilSoManyTokensCame) {
  DecodingOptions options;
  options.min_new_tokens = 2;
  EXPECT_THAT(EditsAfter({}, options, {.eos = {1, 2}}), ElementsAre(Ban(1), Ban(2)));
  EXPECT_THAT(EditsAfter({5}, options), ElementsAre(Ban(1)));
  EXPECT_THAT(EditsAfter({5, 5}, options), IsEmpty());
}

TEST(ForcedBos, IsTheFirstRowsOnlyEdit) {
  DecodingOptions options;
  options.forced_bos = 4;
  options.repetition_penalty = 2;
  options.bad_words = {{4}};
  options.min_new_tokens = 3;
  EXPECT_THAT(EditsAfter({}, options), ElementsAre(Force(4)));
  EXPECT_THAT(EditsAfter({4}, options), ElementsAre(Penalize(0, 2), Penalize(4, 2), Ban(4), Ban(1)));
}

TEST(ForcedEos, IsTheLastRowsOnlyEdit) {
  DecodingOptions options;
  options.max_new_tokens = 3;
  options.min_new_tokens = 3;
  options.forced_eos = 1;
  EXPECT_THAT(EditsAfter({5}, options), ElementsAre(Ban(1)));
  EXPECT_THAT(EditsAfter({5, 5}, options), ElementsAre(Force(1)));
}

TEST(ForcedEos, WinsOverForcedBosWhereTheFirstTokenIsTheLast) {
  DecodingOptions options;
  options.max_new_tokens = 1;
  options.forced_bos = 4;
  options.forced_eos = 1;
  EXPECT_THAT(EditsAfter({}, options), ElementsAre(Force(1)));
}

TEST(Processors, RunInUpstreamsOrder) {
  DecodingOptions options;
  options.repetition_penalty = 1.25f;
  options.no_repeat_ngram_size = 2;
  options.bad_words = {{8}};
  options.min_new_tokens = 9;
  EXPECT_THAT(EditsAfter({5, 6, 5}, options),
              ElementsAre(Penalize(0, 1.25f), Penalize(5, 1.25f), Penalize(6, 1.25f), Ban(6), Ban(8), Ban(1)));
}

}  // namespace
}  // namespace petit::decoding
