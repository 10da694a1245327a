#include "tests/unit/decoding/table_model.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace petit::decoding {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;

// Probabilities 0.1, 0.2, 0.4, 0.2, 0.1, with 3 added to every logit.
std::vector<float> Logits() {
  std::vector<float> logits;
  for (const float p : {0.1f, 0.2f, 0.4f, 0.2f, 0.1f}) logits.push_back(std::log(p) + 3);
  return logits;
}

RowRequest Request(ScoreSpace space, int num_best, std::vector<Edit> edits = {}) {
  RowRequest request;
  request.space = space;
  request.num_best = num_best;
  request.edits = std::move(edits);
  return request;
}

std::vector<TokenId> Ids(const RowResult& result) {
  std::vector<TokenId> ids;
  for (const Candidate& candidate : result.best) ids.push_back(candidate.id);
  return ids;
}

TEST(AnswerRow, OrdersByLogProbThenById) {
  const RowResult result = AnswerRow(Logits(), Request(ScoreSpace::kLogits, 4));
  EXPECT_THAT(Ids(result), ElementsAre(2, 1, 3, 0));
  EXPECT_NEAR(result.best[0].log_prob, std::log(0.4), 1e-6);
  EXPECT_NEAR(result.log_sum_exp, 3, 1e-6);
  EXPECT_TRUE(result.full_row.empty());
}

TEST(AnswerRow, GivesNoMoreThanTheVocabulary) {
  EXPECT_EQ(AnswerRow(Logits(), Request(ScoreSpace::kLogits, 9)).best.size(), 5u);
}

TEST(AnswerRow, NormalizesAfterEditsInLogitsAndNotInLogProbs) {
  const std::vector<Edit> ban = {{2, Edit::Kind::kBan, 0}};
  const RowResult logits = AnswerRow(Logits(), Request(ScoreSpace::kLogits, 5, ban));
  EXPECT_NEAR(logits.best[0].log_prob, std::log(0.2 / 0.6), 1e-6);
  EXPECT_NEAR(logits.log_sum_exp, 3 + std::log(0.6), 1e-6);
  EXPECT_EQ(logits.best[4].id, 2);
  EXPECT_EQ(logits.best[4].log_prob, kNegInf);
  const RowResult log_probs = AnswerRow(Logits(), Request(ScoreSpace::kLogProbs, 5, ban));
  EXPECT_NEAR(log_probs.best[0].log_prob, std::log(0.2), 1e-6);
  EXPECT_NEAR(log_probs.log_sum_exp, 3, 1e-6);
}

TEST(AnswerRow, PenaltyDividesPositiveScoresAndMultipliesNegativeOnes) {
  const std::vector<Edit> edits = {{2, Edit::Kind::kPenalize, 2}};
  const float logit = std::log(0.4f) + 3;  // positive
  const RowResult logits = AnswerRow(Logits(), Request(ScoreSpace::kLogits, 5, edits));
  const double rest = 0.6 * std::exp(3.0);
  EXPECT_NEAR(logits.log_sum_exp, std::log(rest + std::exp(logit / 2)), 1e-5);
  RowRequest request = Request(ScoreSpace::kLogProbs, 1, edits);
  request.full_row = true;
  EXPECT_NEAR(AnswerRow(Logits(), request).full_row.at(2), 2 * std::log(0.4), 1e-5);
}

TEST(AnswerRow, ForcedIdCostsNothing) {
  for (const ScoreSpace space : {ScoreSpace::kLogits, ScoreSpace::kLogProbs}) {
    const std::vector<Edit> edits = {{4, Edit::Kind::kBan, 0}, {4, Edit::Kind::kForce, 0}};
    const RowResult result = AnswerRow(Logits(), Request(space, 3, edits));
    EXPECT_THAT(Ids(result), ElementsAre(4, 0, 1));
    EXPECT_THAT(result.best, ElementsAre(Field(&Candidate::log_prob, 0), Field(&Candidate::log_prob, kNegInf),
                                         Field(&Candidate::log_prob, kNegInf)));
  }
}

TEST(AnswerRow, OfNothingButBansIsMinusInfinityAndNeverNan) {
  std::vector<Edit> edits(5);
  for (TokenId id = 0; id < 5; ++id) edits[id] = {id, Edit::Kind::kBan, 0};
  const RowResult result = AnswerRow(Logits(), Request(ScoreSpace::kLogits, 2, edits));
  EXPECT_THAT(Ids(result), ElementsAre(0, 1));
  EXPECT_EQ(result.best[0].log_prob, kNegInf);
}

TEST(TableRunner, KeepsEachRowsHistoryByItsParent) {
  const TableModel model(std::vector<std::vector<float>>(5, std::vector<float>(5, 0)));
  TableRunner runner(model);
  RowRequest row;
  runner.Step(std::vector<RowRequest>{row});
  std::vector<RowRequest> children(2);
  children[0].parent = children[1].parent = 0;
  children[0].token = 3;
  children[1].token = 4;
  runner.Step(children);
  children[0].parent = 1;
  children[0].token = 2;
  runner.Step(std::span(children).first(1));
  EXPECT_THAT(runner.histories(), ElementsAre(ElementsAre(0, 4, 2)));
}

}  // namespace
}  // namespace petit::decoding
