// The promises of Step: selection as decoding/step.h defines it, and rows that keep their own pasts.
#include <gmock/gmock.h>

#include <algorithm>
#include <limits>

#include "tests/unit/decoding/table_model.h"
#include "tests/unit/torch/fixture.h"

namespace petit::torch_executor {
namespace {

using decoding::Edit;
using decoding::kNegInf;
using decoding::ScoreSpace;
using testing::HasSubstr;

const Ids kSource = {10, 20, 30, 40, 1};

absl::Status Step(engine::Executor& executor, const std::vector<engine::StepRow>& rows,
                  std::vector<RowResult>* results) {
  return executor.Step(rows, results);
}

class SelectTest : public testing::TestWithParam<bool> {
 protected:
  SelectTest() : executor_(MakeTiny("v1_1", {.force_generic_attention = GetParam()})) {
    AdmitAll(*executor_, {kSource});
    const RowRequest whole = WholeRow(0);
    std::vector<RowResult> results;
    EXPECT_TRUE(Step(*executor_, {{0, -1, &whole}}, &results).ok());
    logits_ = Logits(results.at(0));
  }

  // Steps a fresh row with `request` and compares the answer with the reference.
  void ExpectAsReference(RowRequest request) {
    request.token = 0;
    std::vector<RowResult> results;
    ASSERT_TRUE(Step(*executor_, {{0, -1, &request}}, &results).ok());
    const RowResult expected = decoding::AnswerRow(logits_, request);
    const RowResult& ours = results.at(0);
    EXPECT_FALSE(std::isnan(ours.log_sum_exp));
    if (expected.log_sum_exp == kNegInf) {
      EXPECT_EQ(ours.log_sum_exp, kNegInf);
    } else {
      EXPECT_NEAR(ours.log_sum_exp, expected.log_sum_exp, 1e-5);
    }
    ASSERT_EQ(ours.best.size(), expected.best.size());
    for (std::size_t i = 0; i < ours.best.size(); ++i) {
      if (expected.best[i].log_prob == kNegInf) {
        EXPECT_EQ(ours.best[i].log_prob, kNegInf) << i;
        if (GetParam()) continue;  // tensor operations leave the order of equal ones open
      } else {
        EXPECT_NEAR(ours.best[i].log_prob, expected.best[i].log_prob, 1e-4) << i;
      }
      EXPECT_EQ(ours.best[i].id, expected.best[i].id) << i;
    }
    ASSERT_EQ(ours.full_row.size(), expected.full_row.size());
    for (std::size_t i = 0; i < ours.full_row.size(); ++i) {
      if (expected.full_row[i] == kNegInf) {
        EXPECT_EQ(ours.full_row[i], kNegInf) << i;
      } else {
        EXPECT_NEAR(ours.full_row[i], expected.full_row[i], 1e-4) << i;
      }
    }
  }

  TokenId BestId() const {
    return static_cast<TokenId>(std::max_element(logits_.begin(), logits_.end()) - logits_.begin());
  }

  std::unique_ptr<engine::Executor> executor_;
  std::vector<float> logits_;
};

TEST_P(SelectTest, AnyNumberOfBest) {
  for (const int num_best : {1, 2, 3, 4, 8, 9, 100, 384, 1000}) {
    for (const bool full_row : {false, true}) {
      for (const ScoreSpace space : {ScoreSpace::kLogits, ScoreSpace::kLogProbs}) {
        RowRequest request;
        request.num_best = num_best;
        request.full_row = full_row;
        request.space = space;
        ExpectAsReference(request);
      }
    }
  }
}

TEST_P(SelectTest, EditsInBothSpacesInTheirOrder) {
  const TokenId best = BestId();
  const std::vector<std::vector<Edit>> edits = {
      {{best, Edit::Kind::kBan, 0}},
      {{best, Edit::Kind::kPenalize, 3.0F}, {5, Edit::Kind::kPenalize, 0.2F}, {0, Edit::Kind::kPenalize, 2.0F}},
      {{7, Edit::Kind::kPenalize, 2.0F}, {7, Edit::Kind::kPenalize, 0.1F}, {383, Edit::Kind::kBan, 0}},
      {{9, Edit::Kind::kForce, 0}},
      {{best, Edit::Kind::kBan, 0}, {9, Edit::Kind::kPenalize, 2.0F}, {9, Edit::Kind::kForce, 0}},
  };
  for (const std::vector<Edit>& list : edits) {
    for (const ScoreSpace space : {ScoreSpace::kLogits, ScoreSpace::kLogProbs}) {
      for (const int num_best : {1, 6}) {
        RowRequest request;
        request.num_best = num_best;
        request.full_row = true;
        request.space = space;
        request.edits = list;
        ExpectAsReference(request);
      }
    }
  }
}

TEST_P(SelectTest, EverythingBannedIsMinusInfinityNeverNan) {
  for (const ScoreSpace space : {ScoreSpace::kLogits, ScoreSpace::kLogProbs}) {
    RowRequest request;
    request.num_best = 3;
    request.full_row = true;
    request.space = space;
    for (TokenId id = 0; id < 384; ++id) request.edits.push_back({id, Edit::Kind::kBan, 0});
    ExpectAsReference(request);
  }
}

TEST_P(SelectTest, ARowsEditsTouchNoOtherRow) {
  RowRequest plain = WholeRow(0);
  RowRequest edited = WholeRow(0);
  edited.edits = {{BestId(), Edit::Kind::kForce, 0}};
  std::vector<RowResult> results;
  ASSERT_TRUE(Step(*executor_, {{0, -1, &plain}, {0, -1, &edited}, {0, -1, &plain}}, &results).ok());
  EXPECT_EQ(results[0].full_row, results[2].full_row);
  EXPECT_EQ(results[1].best[0].log_prob, 0);
  EXPECT_LT(results[0].best[0].log_prob, 0);
}

INSTANTIATE_TEST_SUITE_P(Paths, SelectTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Generic" : "Cpu"; });

class RowsTest : public testing::TestWithParam<bool> {
 protected:
  std::unique_ptr<engine::Executor> Make() const { return MakeTiny("v1_0", {.force_generic_attention = GetParam()}); }
};

// A tree of hypotheses over 40 steps (three pages): forks, dropped rows, changed orders, two sequences. Each row must
// answer as its history alone would.
TEST_P(RowsTest, BeamsForkAndDieWithoutSeeingEachOther) {
  const Ids other = {7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 1};
  const auto executor = Make();
  AdmitAll(*executor, {kSource, other});
  struct Live {
    int slot;
    Ids history;
  };
  std::vector<Live> live;
  std::vector<std::vector<float>> logits;
  unsigned random = 1;
  const auto next = [&](unsigned below) { return (random = random * 1103515245U + 12345U) / 65536U % below; };
  for (int step = 0; step < 40; ++step) {
    std::vector<Live> grown;
    std::vector<RowRequest> requests;
    std::vector<int> parents;
    for (int slot = 0; slot < 2; ++slot) {
      std::vector<int> own;
      for (std::size_t i = 0; i < live.size(); ++i) {
        if (live[i].slot == slot) own.push_back(static_cast<int>(i));
      }
      const unsigned rows = 1 + next(4);
      for (unsigned i = 0; i < rows; ++i) {
        const int parent = own.empty() ? -1 : own[next(static_cast<unsigned>(own.size()))];
        Live row = parent < 0 ? Live{slot, {}} : live[parent];
        row.history.push_back(step == 0 ? 0 : static_cast<TokenId>(3 + next(200)));
        parents.push_back(parent);
        requests.push_back(WholeRow(row.history.back()));
        grown.push_back(std::move(row));
      }
    }
    std::vector<engine::StepRow> rows;
    for (std::size_t i = 0; i < grown.size(); ++i) rows.push_back({grown[i].slot, parents[i], &requests[i]});
    std::reverse(rows.begin(), rows.end());  // the sequences' order is the caller's affair
    std::reverse(grown.begin(), grown.end());
    std::vector<RowResult> results;
    ASSERT_TRUE(executor->Step(rows, &results).ok());
    live = grown;
    logits.clear();
    for (const RowResult& result : results) logits.push_back(Logits(result));
  }
  for (std::size_t i = 0; i < live.size(); ++i) {
    const auto alone = ForcedLogits(*Make(), {live[i].slot == 0 ? kSource : other}, live[i].history)[0].back();
    for (std::size_t id = 0; id < alone.size(); ++id) ASSERT_NEAR(logits[i][id], alone[id], 2e-5);
  }
}

TEST_P(RowsTest, NewcomersJoinRowsThatAreOnTheirWay) {
  const auto executor = Make();
  AdmitAll(*executor, {kSource});
  const RowRequest start = WholeRow(0);
  const RowRequest next = WholeRow(50);
  std::vector<RowResult> results;
  ASSERT_TRUE(Step(*executor, {{0, -1, &start}}, &results).ok());
  const Ids second = {99, 1};
  const engine::Newcomer newcomer{7, second};
  ASSERT_TRUE(executor->Admit({&newcomer, 1}).ok());
  ASSERT_TRUE(Step(*executor, {{7, -1, &start}, {0, 0, &next}}, &results).ok());
  const auto first_alone = ForcedLogits(*Make(), {kSource}, {0, 50})[0][1];
  const auto second_alone = ForcedLogits(*Make(), {second}, {0})[0][0];
  for (std::size_t id = 0; id < first_alone.size(); ++id) {
    ASSERT_NEAR(Logits(results[0])[id], second_alone[id], 2e-5);
    ASSERT_NEAR(Logits(results[1])[id], first_alone[id], 2e-5);
  }
}

// Through three pages, one of two sequences held at random; it must go on as if nothing had been beside it.
TEST_P(RowsTest, HeldRowsGoOnWhereTheyWere) {
  const Ids other = {7, 8, 9, 1};
  const Ids inputs(40, 50);
  const std::vector<Ids> sources = {kSource, other};
  const auto alone = ForcedLogits(*Make(), sources, inputs);
  const auto executor = Make();
  AdmitAll(*executor, sources);
  const RowRequest request = WholeRow(50);
  std::vector<int> steps = {0, 0};
  std::vector<int> place = {-1, -1};  // of each sequence's row in the last step
  for (unsigned turn = 0; steps[0] < 40 && steps[1] < 40; ++turn) {
    const int held = turn % 7 < 3 ? 0 : 1;
    const bool both = turn % 5 == 0;
    std::vector<engine::StepRow> rows;
    for (const int slot : {1 - held, held}) {
      if (slot == held && !both && place[slot] < 0) continue;
      const bool computed = slot != held || both;
      rows.push_back({slot, place[slot], computed ? &request : nullptr});
    }
    std::vector<RowResult> results;
    ASSERT_TRUE(Step(*executor, rows, &results).ok());
    ASSERT_EQ(results.size(), both ? 2U : 1U);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const int slot = rows[i].slot;
      place[slot] = static_cast<int>(i);
      if (rows[i].request == nullptr) continue;
      const std::vector<float> logits = Logits(results[i]);
      const std::vector<float>& expected = alone[slot][steps[slot]++];
      for (std::size_t id = 0; id < logits.size(); ++id) ASSERT_NEAR(logits[id], expected[id], 2e-5);
    }
  }
  EXPECT_GT(steps[0], 15);
  EXPECT_GT(steps[1], 15);
}

TEST_P(RowsTest, AForkOfAHeldRowLeavesItAsItIs) {
  const auto executor = Make();
  AdmitAll(*executor, {kSource});
  const RowRequest start = WholeRow(0);
  const RowRequest left = WholeRow(50);
  const RowRequest right = WholeRow(60);
  std::vector<RowResult> results;
  ASSERT_TRUE(Step(*executor, {{0, -1, &start}}, &results).ok());
  ASSERT_TRUE(Step(*executor, {{0, 0, &left}, {0, 0, nullptr}}, &results).ok());
  ASSERT_TRUE(Step(*executor, {{0, 1, &right}}, &results).ok());
  const auto alone = ForcedLogits(*Make(), {kSource}, {0, 60})[0].back();
  for (std::size_t id = 0; id < alone.size(); ++id) ASSERT_NEAR(Logits(results[0])[id], alone[id], 2e-5);
}

TEST_P(RowsTest, SlotsAreReusableAfterRelease) {
  const auto executor = Make();
  for (int i = 0; i < 3; ++i) {
    const Ids source(10 + 20 * i, 5);
    const auto logits = ForcedLogits(*executor, {source}, {0, 5, 6})[0];
    EXPECT_EQ(logits, ForcedLogits(*Make(), {source}, {0, 5, 6})[0]) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Paths, RowsTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Generic" : "Cpu"; });

TEST(StepErrors, BadRowsAreRefusedAndSlotsSurvive) {
  const auto executor = MakeTiny("v1_0");
  AdmitAll(*executor, {kSource});
  std::vector<RowResult> results;
  const auto refused = [&](const engine::StepRow& row) { return executor->Step({&row, 1}, &results); };
  RowRequest request;
  EXPECT_THAT(refused({3, -1, &request}).ToString(), HasSubstr("slot 3 is not admitted"));
  EXPECT_THAT(refused({0, 0, &request}).ToString(), HasSubstr("parent row 0 was not in the last step"));
  request.token = 384;
  EXPECT_THAT(refused({0, -1, &request}).ToString(), HasSubstr("decoder input 384 is not in [0, 384)"));
  request.token = 0;
  request.num_best = 0;
  EXPECT_THAT(refused({0, -1, &request}).ToString(), HasSubstr("num_best is 0"));
  request.num_best = 1;
  request.edits = {{-1, Edit::Kind::kBan, 0}};
  EXPECT_EQ(refused({0, -1, &request}).code(), absl::StatusCode::kInvalidArgument);
  request.edits.clear();
  EXPECT_TRUE(refused({0, -1, &request}).ok());
}

TEST(StepErrors, OnlyRowsOfTheLastStepAreHeldAndTheyComeLast) {
  const auto executor = MakeTiny("v1_0");
  AdmitAll(*executor, {kSource});
  RowRequest request;
  std::vector<RowResult> results;
  EXPECT_THAT(Step(*executor, {{0, -1, nullptr}}, &results).ToString(), HasSubstr("without a parent is held"));
  ASSERT_TRUE(Step(*executor, {{0, -1, &request}, {0, -1, &request}}, &results).ok());
  EXPECT_THAT(Step(*executor, {{0, 0, nullptr}, {0, 1, &request}}, &results).ToString(),
              HasSubstr("the held ones must come last"));
}

TEST(StepErrors, NoRowsDropAllRows) {
  const auto executor = MakeTiny("v1_0");
  AdmitAll(*executor, {kSource});
  RowRequest request;
  std::vector<RowResult> results;
  ASSERT_TRUE(Step(*executor, {{0, -1, &request}}, &results).ok());
  ASSERT_TRUE(Step(*executor, {}, &results).ok());
  EXPECT_TRUE(results.empty());
  EXPECT_FALSE(Step(*executor, {{0, 0, &request}}, &results).ok());
}

TEST(AdmitErrors, BadNewcomersAreRefusedTogether) {
  const auto executor = MakeTiny("v1_0");
  const Ids good = {5, 1};
  const Ids bad = {5, -1};
  const auto admit = [&](const std::vector<engine::Newcomer>& newcomers) { return executor->Admit(newcomers); };
  EXPECT_THAT(admit({{0, good}, {1, bad}}).ToString(), HasSubstr("source id -1"));
  EXPECT_THAT(admit({{0, good}, {1, {}}}).ToString(), HasSubstr("the source of slot 1 is empty"));
  EXPECT_THAT(admit({{0, good}, {0, good}}).ToString(), HasSubstr("slot 0 is taken"));
  RowRequest request;
  std::vector<RowResult> results;
  EXPECT_THAT(Step(*executor, {{0, -1, &request}}, &results).ToString(), HasSubstr("slot 0 is not admitted"));
  EXPECT_TRUE(admit({{0, good}}).ok());
  EXPECT_THAT(admit({{0, good}}).ToString(), HasSubstr("slot 0 is taken"));
}

}  // namespace
}  // namespace petit::torch_executor
