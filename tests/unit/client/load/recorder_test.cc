#include "client/load/recorder.h"

#include "gtest/gtest.h"

namespace petit::load {
namespace {

constexpr absl::Duration kMillisecond = absl::Milliseconds(1);

Plan OneModel() { return {.models = {{.name = "student"}}}; }

const Phase kPhase{.rate = 1, .rate_to = 1, .duration = absl::Hours(10)};

TEST(Recorder, GoodAnswersAreThoseWithinTheObjective) {
  Plan plan = OneModel();
  ASSERT_TRUE(AddTerms("p50=10ms,p99=30ms", plan.objective).ok());
  Recorder recorder(plan);
  recorder.BeginPhase(kPhase, absl::ZeroDuration());
  for (const int latency : {5, 10, 20, 30, 31}) {
    const Ticket ticket = recorder.Issue(0, absl::Seconds(1));
    recorder.Sent(ticket, absl::Seconds(1));
    recorder.Ended(ticket, {}, absl::Seconds(1) + latency * kMillisecond);
  }
  const Ticket failed = recorder.Issue(0, absl::Seconds(2));
  recorder.Sent(failed, absl::Seconds(2));
  recorder.Ended(failed, {.status = absl::UnavailableError("gone")}, absl::Seconds(2));
  const Figures figures = recorder.phases()[0].All();
  EXPECT_EQ(figures.good, 4);
  EXPECT_EQ(figures.within, (std::vector<std::int64_t>{2, 4}));
  const Answered answered = figures.ForObjective();
  EXPECT_EQ(answered.texts, 6);
  EXPECT_EQ(answered.failed, 1);
}

TEST(Recorder, TheSeriesStaysBoundedAndLosesNothing) {
  const Plan plan = OneModel();
  Recorder recorder(plan);
  recorder.BeginPhase(kPhase, absl::ZeroDuration());
  for (int second = 0; second < 5000; ++second) {
    const Ticket ticket = recorder.Issue(0, absl::Seconds(second));
    recorder.Sent(ticket, absl::Seconds(second));
    recorder.Ended(ticket, {.target_tokens = 2}, absl::Seconds(second) + 5 * kMillisecond);
  }
  const Series series = recorder.series();
  EXPECT_EQ(series.length, absl::Seconds(16));
  const std::vector<Interval>& intervals = series.models[0];
  EXPECT_EQ(intervals.size(), 313);
  for (std::size_t i = 0; i + 1 < intervals.size(); ++i) {
    ASSERT_EQ(intervals[i].sent, 16) << i;
    ASSERT_EQ(intervals[i].answered, 16) << i;
    ASSERT_EQ(intervals[i].tokens, 32) << i;
    ASSERT_EQ(intervals[i].latency.count(), 16) << i;
  }
  EXPECT_EQ(intervals.back().sent, 5000 % 16);
}

TEST(Recorder, ALookTellsWhatCameSinceTheLastOne) {
  const Plan plan = OneModel();
  Recorder recorder(plan);
  EXPECT_TRUE(recorder.Look(absl::ZeroDuration()).models.empty());
  Phase phase = kPhase;
  phase.warmup = absl::Seconds(2);
  recorder.BeginPhase(phase, absl::ZeroDuration());
  const Ticket first = recorder.Issue(0, absl::ZeroDuration());
  const Ticket second = recorder.Issue(0, absl::ZeroDuration());
  recorder.Sent(first, absl::ZeroDuration());
  recorder.Sent(second, absl::ZeroDuration());
  recorder.Ended(first, {.target_tokens = 9}, 10 * kMillisecond);
  Live live = recorder.Look(absl::Seconds(1));
  EXPECT_TRUE(live.warming_up);
  EXPECT_EQ(live.models[0].sent, 2);
  EXPECT_EQ(live.models[0].answered, 1);
  EXPECT_EQ(live.models[0].in_flight, 1);
  EXPECT_EQ(live.models[0].recent.tokens, 9);
  EXPECT_EQ(live.recent_length, absl::Seconds(1));
  recorder.Ended(second, {.status = absl::UnavailableError("gone")}, absl::Seconds(2));
  live = recorder.Look(absl::Seconds(3));
  EXPECT_FALSE(live.warming_up);
  EXPECT_EQ(live.models[0].in_flight, 0);
  EXPECT_EQ(live.models[0].errors.at("UNAVAILABLE"), 1);
  EXPECT_EQ(live.models[0].recent.answered, 0);
  EXPECT_EQ(live.recent_length, absl::Seconds(2));
  recorder.EndPhase(absl::Seconds(4));
  EXPECT_TRUE(recorder.Look(absl::Seconds(5)).ended);
}

TEST(Recorder, APhaseThatEndsInItsWarmUpCountsNothing) {
  const Plan plan = OneModel();
  Recorder recorder(plan);
  Phase phase = kPhase;
  phase.warmup = absl::Seconds(2);
  recorder.BeginPhase(phase, absl::ZeroDuration());
  recorder.EndPhase(absl::Seconds(1));
  EXPECT_EQ(recorder.phases()[0].Counted(), absl::ZeroDuration());
}

}  // namespace
}  // namespace petit::load
