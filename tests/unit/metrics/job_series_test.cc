#include "server/metrics/job_series.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metrics/metrics.h"
#include "tests/unit/metrics/exposition.h"

namespace petit::serving {
namespace {

using ::testing::Optional;

class JobSeriesTest : public ::testing::Test {
 protected:
  Exposition Read() const { return ParseExposition(metrics_.Text()); }

  static JobFigures Figures(std::int64_t step, std::int64_t tokens) {
    JobFigures figures = {.step = step, .tokens = tokens, .arms = {}};
    for (const char* arm : {"a", "b"}) {
      figures.arms.push_back(
          {.arm = arm, .cross_entropy = 1.5, .kl = 0.25, .hidden_state_loss = 0.125, .loss = 2, .learning_rate = 1e-3});
    }
    return figures;
  }

  Metrics metrics_{{"teacher"}};
  std::unique_ptr<JobSeries> jobs_ = metrics_.MakeJobSeries({"QUEUED", "RUNNING"}, 2);
};

TEST_F(JobSeriesTest, StatesExistFromTheStartAtZero) {
  EXPECT_THAT(Value(Read(), "petit_jobs{state=\"QUEUED\"}"), Optional(0.0));
  jobs_->SetCounts({{"QUEUED", 3}, {"RUNNING", 1}, {"unheard of", 7}});
  EXPECT_THAT(Value(Read(), "petit_jobs{state=\"QUEUED\"}"), Optional(3.0));
  EXPECT_THAT(Value(Read(), "petit_jobs{state=\"RUNNING\"}"), Optional(1.0));
  EXPECT_EQ(CountSeries(Read(), "petit_jobs{"), 2);
  jobs_->SetCounts({{"RUNNING", 2}});
  EXPECT_THAT(Value(Read(), "petit_jobs{state=\"QUEUED\"}"), Optional(0.0));
}

TEST_F(JobSeriesTest, ARunningJobTellsItsFigures) {
  EXPECT_TRUE(jobs_->Start("j"));
  EXPECT_THAT(Value(Read(), "petit_job_step{job=\"j\"}"), Optional(0.0));
  jobs_->SetFigures("j", Figures(10, 1000));
  jobs_->SetLastEvent("j", absl::UnixEpoch() + absl::Milliseconds(1500));
  const Exposition text = Read();
  EXPECT_THAT(Value(text, "petit_job_step{job=\"j\"}"), Optional(10.0));
  EXPECT_THAT(Value(text, "petit_job_tokens_total{job=\"j\"}"), Optional(1000.0));
  EXPECT_THAT(Value(text, "petit_job_last_event_seconds{job=\"j\"}"), Optional(1.5));
  EXPECT_THAT(Value(text, "petit_job_loss{arm=\"a\",job=\"j\",term=\"cross_entropy\"}"), Optional(1.5));
  EXPECT_THAT(Value(text, "petit_job_loss{arm=\"a\",job=\"j\",term=\"kl\"}"), Optional(0.25));
  EXPECT_THAT(Value(text, "petit_job_loss{arm=\"b\",job=\"j\",term=\"hidden_state\"}"), Optional(0.125));
  EXPECT_THAT(Value(text, "petit_job_loss{arm=\"b\",job=\"j\",term=\"total\"}"), Optional(2.0));
  EXPECT_THAT(Value(text, "petit_job_learning_rate{arm=\"b\",job=\"j\"}"), Optional(1e-3));
}

TEST_F(JobSeriesTest, AWorkersHeartbeatGoesWithIt) {
  jobs_->Start("j");
  EXPECT_EQ(CountSeries(Read(), "petit_job_heartbeat_seconds{"), 0);
  jobs_->SetWorkers({{"j", 2, absl::UnixEpoch() + absl::Milliseconds(2500)},
                     {"not started", 1, absl::Now()},
                     {"too many", 1, absl::Now()}});
  EXPECT_THAT(Value(Read(), "petit_job_heartbeat_seconds{job=\"j\"}"), Optional(2.5));
  EXPECT_THAT(Value(Read(), "petit_job_attempt{job=\"j\"}"), Optional(2.0));
  EXPECT_EQ(CountSeries(Read(), "petit_job_attempt{"), 2) << "no more than jobs may have series";
  jobs_->SetWorkers({});
  EXPECT_EQ(CountSeries(Read(), "petit_job_heartbeat_seconds{"), 0);
  EXPECT_THAT(Value(Read(), "petit_job_attempt{job=\"j\"}"), Optional(2.0)) << "between two attempts";
  jobs_->SetWorkers({{"j", 3, absl::UnixEpoch() + absl::Seconds(7)}});
  EXPECT_THAT(Value(Read(), "petit_job_heartbeat_seconds{job=\"j\"}"), Optional(7.0));
  EXPECT_THAT(Value(Read(), "petit_job_attempt{job=\"j\"}"), Optional(3.0));
  jobs_->End("j");
  jobs_->End("not started");
  EXPECT_EQ(CountSeries(Read(), "petit_job_"), 0);
}

TEST_F(JobSeriesTest, AnEndedJobLeavesNothing) {
  jobs_->Start("j");
  jobs_->SetFigures("j", Figures(10, 1000));
  EXPECT_GT(CountSeries(Read(), "petit_job_"), 0);
  jobs_->End("j");
  EXPECT_EQ(CountSeries(Read(), "petit_job_"), 0);
  jobs_->End("j");
  jobs_->SetFigures("j", Figures(11, 1100));
  jobs_->SetLastEvent("j", absl::Now());
  jobs_->DropArm("j", "a");
  EXPECT_EQ(CountSeries(Read(), "petit_job_"), 0);
}

TEST_F(JobSeriesTest, ADroppedArmLosesItsSeries) {
  jobs_->Start("j");
  jobs_->SetFigures("j", Figures(10, 1000));
  jobs_->DropArm("j", "a");
  jobs_->DropArm("j", "never was");
  EXPECT_EQ(CountSeries(Read(), "petit_job_loss{arm=\"a\""), 0);
  EXPECT_EQ(CountSeries(Read(), "petit_job_loss{arm=\"b\""), 4);
  EXPECT_EQ(CountSeries(Read(), "petit_job_learning_rate"), 1);
}

TEST_F(JobSeriesTest, OnlySoManyJobsHaveSeries) {
  EXPECT_TRUE(jobs_->Start("a"));
  EXPECT_TRUE(jobs_->Start("b"));
  EXPECT_FALSE(jobs_->Start("c"));
  EXPECT_TRUE(jobs_->Start("b")) << "it has them already";
  jobs_->SetFigures("c", Figures(1, 1));
  EXPECT_EQ(CountSeries(Read(), "petit_job_step"), 2);
  jobs_->End("a");
  EXPECT_TRUE(jobs_->Start("c"));
  for (int i = 0; i < 100; ++i) {
    const std::string job = absl::StrCat("job", i);
    jobs_->End("c");
    EXPECT_TRUE(jobs_->Start(job));
    jobs_->SetFigures(job, Figures(i, i));
    jobs_->End(job);
  }
  EXPECT_EQ(CountSeries(Read(), "petit_job_step"), 1);
}

TEST_F(JobSeriesTest, ARestartedCountOfTokensGoesOnFromThere) {
  jobs_->Start("j");
  jobs_->SetFigures("j", Figures(10, 1000));
  jobs_->SetFigures("j", Figures(5, 500));
  EXPECT_THAT(Value(Read(), "petit_job_tokens_total{job=\"j\"}"), Optional(500.0));
  jobs_->SetFigures("j", Figures(6, 600));
  EXPECT_THAT(Value(Read(), "petit_job_tokens_total{job=\"j\"}"), Optional(600.0));
}

TEST_F(JobSeriesTest, MayOutliveTheMetrics) {
  auto metrics = std::make_unique<Metrics>(std::vector<std::string>{});
  const auto jobs = metrics->MakeJobSeries({"QUEUED"}, 1);
  metrics.reset();
  EXPECT_TRUE(jobs->Start("j"));
  jobs->End("j");
}

}  // namespace
}  // namespace petit::serving
