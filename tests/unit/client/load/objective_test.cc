#include "client/load/objective.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace petit::load {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Objective, ReadsItsTerms) {
  Objective objective;
  ASSERT_TRUE(AddTerms("p99.9=1.5s,error-rate=1%", objective).ok());
  ASSERT_TRUE(AddTerms("p50=80ms", objective).ok());
  ASSERT_EQ(objective.latencies.size(), 2);
  EXPECT_EQ(objective.latencies[0].percentile, 50);
  EXPECT_EQ(objective.latencies[0].limit, absl::Milliseconds(80));
  EXPECT_EQ(objective.latencies[1].percentile, 99.9);
  EXPECT_EQ(objective.GoodWithin(), absl::Milliseconds(1500)) << "the highest percentile's";
  EXPECT_DOUBLE_EQ(*objective.max_error_rate, 0.01);
  EXPECT_EQ(Objective().GoodWithin(), absl::InfiniteDuration());
}

TEST(Objective, SaysWhatIsWrongAndWhatIsWanted) {
  for (const auto& [text, words] :
       {std::pair{"p99", "names no limit"}, std::pair{"p99=", "names no limit"}, std::pair{"", "names no limit"},
        std::pair{"p99=fast", "not a duration"}, std::pair{"p99=0", "above 0"}, std::pair{"p99=-1s", "above 0"},
        std::pair{"p100=1s", "'p100' is not a figure"}, std::pair{"p0=1s", "'p0' is not"},
        std::pair{"pnan=1s", "'pnan' is not"}, std::pair{"speed=1s", "'speed' is not"},
        std::pair{"error-rate=150%", "not a number from 0%"}, std::pair{"error-rate=few", "not a number"},
        std::pair{"p99=1s,p99=2s", "limited already"}}) {
    Objective objective;
    const absl::Status status = AddTerms(text, objective);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(words), HasSubstr("p99=500ms"))) << text;
  }
}

TEST(Objective, DurationsAreWrittenAsPeopleDo) {
  EXPECT_EQ(*ParseDuration("500ms"), absl::Milliseconds(500));
  EXPECT_EQ(*ParseDuration("1m30s"), absl::Seconds(90));
  EXPECT_EQ(*ParseDuration("2.5"), absl::Milliseconds(2500));
  EXPECT_EQ(*ParseDuration("0"), absl::ZeroDuration());
  for (const char* text : {"", "ten", "-1s", "-5", "inf", "nan", "10 seconds"}) {
    EXPECT_EQ(ParseDuration(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(Objective, CountsWholeTextsAndFailedOnesAsLate) {
  Objective objective;
  ASSERT_TRUE(AddTerms("p99=100ms,error-rate=1%", objective).ok());
  // 99 of 100 are 99 %, not less.
  EXPECT_TRUE(AllHold(Judge(objective, {.texts = 100, .failed = 1, .within = {99}})));
  const std::vector<Verdict> verdicts = Judge(objective, {.texts = 100, .failed = 2, .within = {98}});
  ASSERT_EQ(verdicts.size(), 2);
  EXPECT_EQ(verdicts[0].term, "p99=100ms");
  EXPECT_FALSE(verdicts[0].holds);
  EXPECT_EQ(verdicts[0].why, "98.00% of 100 texts were answered within 100ms");
  EXPECT_EQ(verdicts[1].term, "error-rate=1%");
  EXPECT_FALSE(verdicts[1].holds);
  EXPECT_EQ(verdicts[1].why, "2 of 100 texts failed, 2.00%");
  EXPECT_FALSE(AllHold(Judge(objective, {.texts = 0, .within = {0}}))) << "nothing was shown";
  EXPECT_TRUE(AllHold(Judge({}, {.texts = 5, .failed = 5}))) << "nothing was asked";
}

}  // namespace
}  // namespace petit::load
