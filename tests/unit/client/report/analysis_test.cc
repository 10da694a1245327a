// Comparisons, fronts and best steps.
#include "client/report/analysis.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/report/sample.h"

namespace petit::report {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ParetoFront, KeepsThoseThatNoOtherBeats) {
  EXPECT_THAT(ParetoFront({{1, 10}, {2, 20}, {3, 15}, {2, 12}, {4, 21}}), ElementsAre(true, true, false, false, true));
}

TEST(ParetoFront, KeepsEqualsAndDropsThoseThatAreWorseInOneWay) {
  EXPECT_THAT(ParetoFront({{1, 10}, {1, 10}}), ElementsAre(true, true));
  EXPECT_THAT(ParetoFront({{1, 10}, {1, 9}}), ElementsAre(true, false));
  EXPECT_THAT(ParetoFront({{1, 10}, {2, 10}}), ElementsAre(true, false));
  EXPECT_THAT(ParetoFront({}), IsEmpty());
}

TEST(IntervalOf, IsAroundTheResamplesMean) {
  const std::optional<Interval> interval = IntervalOf({20.0, 20.5, 1.0, std::nullopt, std::nullopt});
  ASSERT_TRUE(interval);
  EXPECT_EQ(interval->low, 19.5);
  EXPECT_EQ(interval->high, 21.5);
  EXPECT_FALSE(IntervalOf({20.0, 20.5, std::nullopt, std::nullopt, std::nullopt}));
}

class Comparing : public ::testing::Test {
 protected:
  // Another against the teacher, which `baseline` may be.
  std::optional<Comparison> Compare(const Score& teacher, const Score& other, const std::string& baseline = "") {
    Results results = Empty();
    Add(results, MakeModel("teacher", Role::kTeacher, 1), teacher, 1);
    Add(results, MakeModel("other", Role::kOther, 1), other, 1);
    results.baseline = baseline;
    return CompareBleu(results, results.results[1], results.results[0]);
  }
};

TEST_F(Comparing, IsByThePairedTestWhereThereIsOne) {
  EXPECT_EQ(Compare(MakeScore(30, 5), MakeScore(29, 5, 0.01), "teacher")->verdict, Verdict::kLower);
  EXPECT_EQ(Compare(MakeScore(30, 5), MakeScore(31, 5, 0.01), "teacher")->verdict, Verdict::kHigher);
  EXPECT_EQ(Compare(MakeScore(30, 0.1), MakeScore(29, 0.1, 0.05), "teacher")->verdict, Verdict::kNotShown);
  EXPECT_EQ(Compare(MakeScore(30, 1, 0.01), MakeScore(29, 1), "other")->verdict, Verdict::kLower);
  EXPECT_EQ(Compare(MakeScore(30, 5), MakeScore(29, 5, 0.012), "teacher")->evidence, "p = 0.012");
}

TEST_F(Comparing, IsByTheTestAgainstTheTeacherWhereTheBaselineIsAnother) {
  Results results = Empty();
  Score other = MakeScore(29, 5, 0.9);
  other.teacher_p_value = 0.01;
  Add(results, MakeModel("teacher", Role::kTeacher, 1), MakeScore(30, 5), 1);
  Add(results, MakeModel("other", Role::kOther, 1), other, 1);
  results.teacher = "teacher";
  results.baseline = "somebody";
  const auto comparison = CompareBleu(results, results.results[1], results.results[0]);
  EXPECT_EQ(comparison->verdict, Verdict::kLower);
  EXPECT_EQ(comparison->evidence, "p = 0.010");
}

TEST_F(Comparing, IsByIntervalsWhereThereIsNoTestOfTheTwo) {
  const std::optional<Comparison> apart = Compare(MakeScore(30, 1), MakeScore(27, 1, 0.5));
  EXPECT_EQ(apart->verdict, Verdict::kLower);
  EXPECT_EQ(apart->evidence, "the 95 % intervals do not overlap");
  const std::optional<Comparison> overlapping = Compare(MakeScore(30, 1), MakeScore(28.5, 1, 0.001));
  EXPECT_EQ(overlapping->verdict, Verdict::kNotShown);
  EXPECT_EQ(overlapping->evidence, "the 95 % intervals overlap");
}

TEST_F(Comparing, SaysNothingWithoutIntervals) {
  const std::optional<Comparison> comparison = Compare(MakeScore(30), MakeScore(10));
  EXPECT_EQ(comparison->verdict, Verdict::kUnknown);
  EXPECT_EQ(comparison->difference, -20);
  EXPECT_FALSE(Compare(Score{}, MakeScore(10)));
}

TEST(FindSpeed, PrefersTheSettingsConcurrency) {
  Results results = Empty();
  for (const int concurrency : {8, 1, 4}) {
    Speed speed;
    speed.model = "m";
    speed.set = "en-fr";
    speed.concurrency = concurrency;
    results.speeds.push_back(speed);
  }
  EXPECT_EQ(FindSpeed(results, "m", "en-fr"), &results.speeds[1]);
  results.settings.speed_concurrency = 32;
  EXPECT_EQ(FindSpeed(results, "m", "en-fr"), &results.speeds[0]);
  EXPECT_EQ(FindSpeed(results, "n", "en-fr"), nullptr);
}

TEST(FindBestSteps, WeighsTheLossesByTheArmsAlpha) {
  Job job;
  job.arms = {{"a", 0.0, {}, ""}, {"b", 1.0, {}, ""}, {"c", 0.5, {}, ""}};
  for (const char* arm : {"a", "b", "c"}) {
    job.dev.push_back({arm, "dev", false, 100, 10, {}, 2.0, 1.5});
    job.dev.push_back({arm, "dev", false, 200, 12, {}, 2.5, 1.0});
    job.dev.push_back({arm, "dev", false, 300, 11, {}, 2.1, 1.1});
  }
  EXPECT_EQ(FindBestSteps(job, "a", "dev").by_loss, 0U);
  EXPECT_EQ(FindBestSteps(job, "b", "dev").by_loss, 4U);
  EXPECT_EQ(FindBestSteps(job, "c", "dev").by_loss, 8U);
  EXPECT_EQ(FindBestSteps(job, "a", "dev").by_bleu, 1U);
  EXPECT_FALSE(FindBestSteps(job, "a", "other").by_loss);
}

TEST(FindBestSteps, SkipsStepsWhoseLossIsNotKnown) {
  Job job;
  job.arms = {{"a", 0.5, {}, ""}};
  job.dev.push_back({"a", "dev", false, 100, {}, {}, 2.0, {}});
  job.dev.push_back({"a", "dev", false, 200, 12, {}, 2.5, 1.0});
  EXPECT_EQ(FindBestSteps(job, "a", "dev").by_loss, 1U);
  EXPECT_EQ(FindBestSteps(job, "a", "dev").by_bleu, 1U);
}

}  // namespace
}  // namespace petit::report
