#include "client/eval/speed.h"

#include <numeric>
#include <vector>

#include "client/eval/records.h"
#include "gtest/gtest.h"

namespace petit::eval {
namespace {

TEST(Percentiles, TakeTheNearestRank) {
  std::vector<float> seconds;
  for (int i = 100; i >= 1; --i) seconds.push_back(static_cast<float>(i));
  const Percentiles percentiles = PercentilesOf(seconds);
  EXPECT_EQ(percentiles.p50, 50);
  EXPECT_EQ(percentiles.p95, 95);
  EXPECT_EQ(percentiles.p99, 99);
  EXPECT_EQ(PercentilesOf({7}).p99, 7);
  EXPECT_EQ(PercentilesOf({}).p50, 0);
}

TimedPass PassOf(double seconds, std::vector<float> latencies, bool idle = true) {
  TimedPass pass;
  pass.seconds = seconds;
  pass.texts = static_cast<std::int64_t>(latencies.size());
  pass.target_tokens = 10 * pass.texts;
  pass.latencies = std::move(latencies);
  pass.idle = idle;
  return pass;
}

TEST(Summarize, TakesMediansAndTheirSpread) {
  const Speed speed = Summarize({PassOf(4, {1, 3}), PassOf(2, {1, 1}), PassOf(3, {2, 2}, false)});
  EXPECT_EQ(speed.median.seconds, 3);
  EXPECT_DOUBLE_EQ(speed.median.sentences_per_second, 2.0 / 3);
  EXPECT_DOUBLE_EQ(speed.median.tokens_per_second, 20.0 / 3);
  EXPECT_EQ(speed.median.latency.p99, 2);
  EXPECT_DOUBLE_EQ(speed.spread, 2.0 / 3);
  EXPECT_FALSE(speed.median.idle) << "one pass had company";
  EXPECT_EQ(speed.passes.size(), 3);
}

TEST(Summarize, TheHistogramHasEveryLatencyBetweenItsEdges) {
  const std::vector<float> latencies = {0.001F, 0.0011F, 0.5F, 0.02F, 0.0F};
  const LatencyHistogram histogram = Summarize({PassOf(1, latencies)}).histogram;
  ASSERT_EQ(histogram.edges.size(), histogram.counts.size() + 1);
  EXPECT_EQ(std::accumulate(histogram.counts.begin(), histogram.counts.end(), std::int64_t{0}), 5);
  EXPECT_GT(histogram.edges.back(), 0.5);
  EXPECT_GT(histogram.counts.front(), 0);
  EXPECT_GT(histogram.counts.back(), 0);
  for (std::size_t i = 1; i < histogram.edges.size(); ++i) EXPECT_GT(histogram.edges[i], histogram.edges[i - 1]);
  EXPECT_TRUE(Summarize({PassOf(1, {})}).histogram.edges.empty());
}

TEST(Records, SurviveTheirText) {
  const Hypothesis hypothesis{.status = absl::OkStatus(),
                              .text = "« Où ? » \"tab\there\"",
                              .truncated = true,
                              .source_tokens = 3,
                              .unknown_source_tokens = 1,
                              .target_tokens = 2};
  const absl::StatusOr<Hypothesis> read = ParseHypothesis(Format(hypothesis));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->text, hypothesis.text);
  EXPECT_TRUE(read->truncated);
  EXPECT_EQ(read->unknown_source_tokens, 1);
  const absl::StatusOr<Hypothesis> failed =
      ParseHypothesis(Format(Hypothesis{.status = absl::InvalidArgumentError("blank\nline")}));
  ASSERT_TRUE(failed.ok());
  EXPECT_EQ(failed->status, absl::InvalidArgumentError("blank\nline"));
  EXPECT_TRUE(IsPermanent(failed->status));
  EXPECT_FALSE(IsPermanent(absl::UnavailableError("loading")));
  const absl::StatusOr<TimedPass> pass = ParseTimedPass(Format(PassOf(1.5, {0.25F})));
  ASSERT_TRUE(pass.ok());
  EXPECT_EQ(pass->seconds, 1.5);
  EXPECT_EQ(pass->latencies, (std::vector<float>{0.25F}));
  EXPECT_TRUE(absl::IsDataLoss(ParseTimedPass("{}").status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseLikelihood("{\"tokens\": ").status()));
}

}  // namespace
}  // namespace petit::eval
