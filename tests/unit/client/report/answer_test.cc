// The three sentences, on results of several shapes.
#include "client/report/analysis.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/report/sample.h"

namespace petit::report {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

Results WithTeacher(double bleu = 30) {
  Results results = Empty();
  Add(results, MakeModel("teacher", Role::kTeacher, 1), MakeScore(bleu, 1), 1);
  return results;
}

TEST(Answer, OfTheSample) {
  const Answer answer = AnswerOf(Sample());
  EXPECT_EQ(
      answer.distillation,
      "Distillation: Distilled, α = 0.5, the best of 2 distilled models by BLEU on en-fr, takes 0.31× the teacher's "
      "time and 0.26× its memory and reaches 24.9 BLEU (95 % interval 24.0 to 25.7), 4.5 below the teacher's 29.4 "
      "(28.6 to 30.3): the 95 % intervals do not overlap; that is 3.1 above the baseline, Student, labels only "
      "(p = 0.001).");
  EXPECT_EQ(
      answer.quantization,
      "Quantization: Teacher, INT8, the best of 2 quantized models by BLEU on en-fr, takes 0.61× the teacher's "
      "time and 0.35× its memory and reaches 29.1 BLEU (95 % interval 28.3 to 29.9), which is not shown to differ "
      "from the teacher's 29.4 (28.6 to 30.3): the 95 % intervals overlap.");
  EXPECT_EQ(answer.choice,
            "Which to take: Teacher, INT8, whose BLEU is not shown to be below the teacher's on en-fr (−0.3, the 95 % "
            "intervals overlap) at 0.61× the teacher's time and 0.35× its memory; where speed counts more, Distilled, "
            "α = 0.5, INT8 takes 0.22× the time for 5.0 BLEU less.");
}

TEST(Answer, SaysThatADifferenceFromTheBaselineIsNotSignificant) {
  Results results = WithTeacher();
  Add(results, MakeModel("student", Role::kStudent, 0.3), MakeScore(20, 1), 0.4);
  Add(results, MakeModel("distilled", Role::kDistilled, 0.3), MakeScore(20.4, 1, 0.21), 0.4);
  results.baseline = "student";
  EXPECT_THAT(AnswerOf(results).distillation,
              EndsWith("; its difference of +0.4 from the baseline, student, is not significant (p = 0.210)."));
}

TEST(Answer, UsesThePairedTestAgainstATeacherThatIsTheBaseline) {
  Results results = WithTeacher();
  results.baseline = "teacher";
  Add(results, MakeModel("int8", Role::kQuantized, 0.3), MakeScore(29, 1, 0.003), 0.6);
  const Answer answer = AnswerOf(results);
  EXPECT_THAT(answer.quantization, EndsWith("1.0 below the teacher's 30.0 (29.0 to 31.0): p = 0.003."));
  EXPECT_EQ(
      answer.choice,
      "Which to take: teacher, the teacher, where quality counts, for every cheaper model is shown to lose BLEU on "
      "en-fr; where cost counts, int8, which loses 1.0 at 0.60× the teacher's time and 0.30× its memory.");
}

TEST(Answer, NamesTheFastestBesideTheLeastLoss) {
  Results results = WithTeacher();
  Add(results, MakeModel("a", Role::kDistilled, 0.3), MakeScore(25, 1), 0.5);
  Add(results, MakeModel("b", Role::kDistilled, 0.1), MakeScore(20, 1), 0.2);
  EXPECT_THAT(AnswerOf(results).choice,
              EndsWith("where cost counts, a, which loses 5.0 at 0.50× the teacher's time and 0.30× its memory, or for "
                       "speed b, which loses 10.0 at 0.20× the time."));
}

TEST(Answer, SaysWhereTheChosenModelLosesOutOfDomain) {
  Results results = WithTeacher();
  Add(results, MakeModel("int8", Role::kQuantized, 0.3), MakeScore(29.8, 1), 0.6);
  Set news;
  news.name = "news";
  news.out_of_domain = true;
  results.sets.push_back(news);
  for (const auto& [model, bleu] : {std::pair("teacher", 20.0), std::pair("int8", 15.0)}) {
    Result result;
    result.model = model;
    result.set = "news";
    result.bleu = MakeScore(bleu, 1);
    results.results.push_back(result);
  }
  EXPECT_THAT(AnswerOf(results).choice,
              HasSubstr("; but on news, out of domain, it loses 5.0 BLEU (the 95 % intervals do not overlap)"));
}

TEST(Answer, ChoosesByMemoryWhereNothingIsFaster) {
  Results results = WithTeacher();
  Add(results, MakeModel("slow-int8", Role::kQuantized, 0.3), MakeScore(29.8, 1), 1.2);
  EXPECT_THAT(AnswerOf(results).choice, HasSubstr("slow-int8, whose BLEU is not shown to be below the teacher's"));
}

TEST(Answer, KeepsTheTeacherWhereNothingIsCheaper) {
  Results results = WithTeacher();
  Add(results, MakeModel("twin", Role::kOther, 1), MakeScore(29.8, 1), 1);
  EXPECT_EQ(AnswerOf(results).choice,
            "Which to take: teacher, the teacher, for nothing that was measured is shown to be cheaper on en-fr.");
}

TEST(Answer, SaysWhichRolesAreMissing) {
  const Answer answer = AnswerOf(WithTeacher());
  EXPECT_EQ(answer.distillation, "Distillation: no distilled model was measured, so nothing can be said of it.");
  EXPECT_EQ(answer.quantization, "Quantization: no quantized model was measured, so nothing can be said of it.");
}

TEST(Answer, DoesWithoutATeacher) {
  Results results = Empty();
  Add(results, MakeModel("distilled", Role::kDistilled, {}), MakeScore(25, 1), {});
  const Answer answer = AnswerOf(results);
  EXPECT_EQ(
      answer.distillation,
      "Distillation: distilled reaches 25.0 BLEU (95 % interval 24.0 to 26.0) on en-fr; there is no teacher's BLEU "
      "to hold it against.");
  EXPECT_THAT(answer.choice, AllOf(HasSubstr("without a teacher's figures"), HasSubstr("distilled scores highest")));
}

TEST(Answer, ClaimsNoSignificanceWithoutIntervals) {
  Results results = Empty();
  Add(results, MakeModel("teacher", Role::kTeacher, 1), MakeScore(30), 1);
  Add(results, MakeModel("distilled", Role::kDistilled, 0.3), MakeScore(20), 0.4);
  const Answer answer = AnswerOf(results);
  EXPECT_THAT(
      answer.distillation,
      EndsWith("reaches 20.0 BLEU on en-fr, 10.0 below the teacher's 30.0, with no interval to judge that by."));
  EXPECT_THAT(answer.choice, HasSubstr("there are no intervals to judge the others' BLEU by"));
}

TEST(Answer, SaysThatABleuIsNotKnown) {
  Results results = WithTeacher();
  Add(results, MakeModel("distilled", Role::kDistilled, 0.3), Score{}, 0.4);
  EXPECT_EQ(AnswerOf(results).distillation,
            "Distillation: no distilled model has a BLEU on en-fr, so its loss is not known.");
}

TEST(Answer, OfNothing) {
  const Answer answer = AnswerOf(Results{});
  EXPECT_THAT(answer.choice, HasSubstr("no model has a BLEU"));
}

TEST(Answer, RecommendsNothingWithRandomWeightsOrInATrial) {
  Results results = Sample();
  results.random_weights = true;
  EXPECT_THAT(AnswerOf(results).choice, AllOf(HasSubstr("nothing"), HasSubstr("random"), Not(HasSubstr("INT8"))));
  results.random_weights = false;
  results.trial = true;
  EXPECT_THAT(AnswerOf(results).choice, AllOf(HasSubstr("nothing"), HasSubstr("a few pairs"), Not(HasSubstr("INT8"))));
}

}  // namespace
}  // namespace petit::report
