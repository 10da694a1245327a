// How jobs are tied to the registry and to the metrics.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/job_metrics.h"
#include "server/job_models.h"
#include "server/registry/registry.h"
#include "tests/unit/metrics/exposition.h"
#include "tests/unit/registry/fake_loader.h"

namespace petit::serving {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

class RegistryJobModelsTest : public ::testing::Test {
 protected:
  RegistryJobModelsTest()
      : models_{CheckpointModel(root_.path(), "fixed"), VersionedModel(root_.path(), "versioned", {1, 2}),
                VersionedModel(root_.path(), "empty", {}), VersionedModel(root_.path(), "pinned", {1, 2})} {
    models_[3].specific_version = 1;
    models_[0].prompts = {{"en", "fr", "to French: "}};
    registry_.emplace(models_, loader_.loader(), nullptr);
    registry_->LoadConfigured();
    job_models_.emplace(&*registry_, models_);
  }

  TemporaryDirectory root_;
  std::vector<ModelSettings> models_;
  FakeLoader loader_;
  std::optional<Registry> registry_;
  std::optional<RegistryJobModels> job_models_;
};

TEST_F(RegistryJobModelsTest, FindsTheVersionThatIsServed) {
  const auto fixed = job_models_->Find("fixed");
  ASSERT_TRUE(fixed.ok()) << fixed.status();
  EXPECT_EQ(fixed->checkpoint, models_[0].checkpoint);
  EXPECT_EQ(fixed->versions_root, "");
  EXPECT_EQ(fixed->prompts.at(0).prefix, "to French: ");
  const auto versioned = job_models_->Find("versioned");
  ASSERT_TRUE(versioned.ok()) << versioned.status();
  EXPECT_EQ(versioned->checkpoint, models_[1].versions_root + "/2");
  EXPECT_EQ(versioned->versions_root, models_[1].versions_root);
  EXPECT_FALSE(versioned->version_is_pinned);
  const auto pinned = job_models_->Find("pinned");
  ASSERT_TRUE(pinned.ok()) << pinned.status();
  EXPECT_EQ(pinned->checkpoint, models_[3].versions_root + "/1");
  EXPECT_TRUE(pinned->version_is_pinned);
}

TEST_F(RegistryJobModelsTest, AModelThatServesNothingHasNoCheckpoint) {
  const auto empty = job_models_->Find("empty");
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_EQ(empty->checkpoint, "");
  EXPECT_EQ(empty->versions_root, models_[2].versions_root);
  ASSERT_TRUE(registry_->Unload("fixed", 0).ok());
  EXPECT_EQ(job_models_->Find("fixed")->checkpoint, "");
}

TEST_F(RegistryJobModelsTest, AnUnknownModelIsNotFoundAndTheOthersAreListed) {
  const auto nobody = job_models_->Find("nobody");
  EXPECT_EQ(nobody.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(nobody.status().message()), HasSubstr("fixed, versioned"));
}

TEST_F(RegistryJobModelsTest, ServesTheFirstVersionOfAModel) {
  EXPECT_EQ(job_models_->Serve("empty", 1).code(), absl::StatusCode::kNotFound);
  AddVersion(models_[2], 1);
  ASSERT_TRUE(job_models_->Serve("empty", 1).ok());
  EXPECT_EQ(job_models_->Find("empty")->checkpoint, models_[2].versions_root + "/1");
}

TEST_F(RegistryJobModelsTest, AVersionThatDoesNotLoadLeavesTheOldOneServing) {
  AddVersion(models_[1], 3);
  loader_.Fail({"versioned", 3}, absl::InvalidArgumentError("damaged"));
  EXPECT_EQ(job_models_->Serve("versioned", 3).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(job_models_->Find("versioned")->checkpoint, models_[1].versions_root + "/2");
}

class JobMetricsTest : public ::testing::Test {
 protected:
  Exposition Read() const { return ParseExposition(metrics_.Text()); }

  static v1::JobEvent State(v1::JobState state) {
    v1::JobEvent event;
    event.mutable_state_change()->set_state(state);
    return event;
  }
  static v1::JobEvent Progress(std::int64_t step) {
    v1::JobEvent event;
    event.mutable_time()->set_seconds(100);
    event.mutable_time()->set_nanos(250'000'000);
    event.mutable_progress()->set_step(step);
    event.mutable_progress()->set_tokens(10 * step);
    v1::ArmProgress* arm = event.mutable_progress()->add_arms();
    arm->set_arm("alpha-0.5");
    arm->set_cross_entropy(1);
    arm->set_kl(2);
    arm->set_hidden_state_loss(3);
    arm->set_loss(4);
    arm->set_learning_rate(5);
    return event;
  }

  Metrics metrics_{{"teacher"}};
  JobMetrics jobs_{&metrics_, 2};
};

TEST_F(JobMetricsTest, CountsStatesByName) {
  EXPECT_EQ(CountSeries(Read(), "petit_jobs{"), 5);
  jobs_.OnCounts({{v1::JOB_STATE_RUNNING, 2}, {v1::JOB_STATE_FAILED, 1}});
  EXPECT_THAT(Value(Read(), "petit_jobs{state=\"RUNNING\"}"), Optional(2.0));
  EXPECT_THAT(Value(Read(), "petit_jobs{state=\"FAILED\"}"), Optional(1.0));
  EXPECT_THAT(Value(Read(), "petit_jobs{state=\"SUCCEEDED\"}"), Optional(0.0));
}

TEST_F(JobMetricsTest, AJobHasSeriesWhileItRuns) {
  jobs_.OnEvent("jobs/j", State(v1::JOB_STATE_QUEUED));
  EXPECT_EQ(CountSeries(Read(), "petit_job_"), 0);
  jobs_.OnEvent("jobs/j", State(v1::JOB_STATE_RUNNING));
  EXPECT_THAT(Value(Read(), "petit_job_step{job=\"j\"}"), Optional(0.0));
  jobs_.OnEvent("jobs/j", Progress(7));
  const Exposition text = Read();
  EXPECT_THAT(Value(text, "petit_job_step{job=\"j\"}"), Optional(7.0));
  EXPECT_THAT(Value(text, "petit_job_tokens_total{job=\"j\"}"), Optional(70.0));
  EXPECT_THAT(Value(text, "petit_job_last_event_seconds{job=\"j\"}"), Optional(100.25));
  EXPECT_THAT(Value(text, "petit_job_loss{arm=\"alpha-0.5\",job=\"j\",term=\"cross_entropy\"}"), Optional(1.0));
  EXPECT_THAT(Value(text, "petit_job_loss{arm=\"alpha-0.5\",job=\"j\",term=\"kl\"}"), Optional(2.0));
  EXPECT_THAT(Value(text, "petit_job_loss{arm=\"alpha-0.5\",job=\"j\",term=\"hidden_state\"}"), Optional(3.0));
  EXPECT_THAT(Value(text, "petit_job_loss{arm=\"alpha-0.5\",job=\"j\",term=\"total\"}"), Optional(4.0));
  EXPECT_THAT(Value(text, "petit_job_learning_rate{arm=\"alpha-0.5\",job=\"j\"}"), Optional(5.0));
  // The same, whether it is told by the last event or by OnEnded.
  jobs_.OnEvent("jobs/j", State(v1::JOB_STATE_SUCCEEDED));
  EXPECT_EQ(CountSeries(Read(), "petit_job_"), 0);
  jobs_.OnEnded("jobs/j");
  EXPECT_EQ(CountSeries(Read(), "petit_job_"), 0);
}

TEST_F(JobMetricsTest, AJobThatRanBeforeTheServerDidIsHeardOfByItsProgress) {
  jobs_.OnEvent("jobs/j", Progress(7));
  EXPECT_THAT(Value(Read(), "petit_job_step{job=\"j\"}"), Optional(7.0));
}

TEST_F(JobMetricsTest, AWorkerThatRanBeforeTheServerDidIsHeardBeforeItsFigures) {
  jobs_.OnWorkers({{"jobs/j", 3, absl::UnixEpoch() + absl::Seconds(40)}});
  // At zero the tokens would leap with the first progress, and the last event be half a century old.
  EXPECT_EQ(CountSeries(Read(), "petit_job_tokens_total"), 0);
  EXPECT_EQ(CountSeries(Read(), "petit_job_last_event_seconds{"), 0);
  EXPECT_THAT(Value(Read(), "petit_job_heartbeat_seconds{job=\"j\"}"), Optional(40.0));
  EXPECT_THAT(Value(Read(), "petit_job_attempt{job=\"j\"}"), Optional(3.0));
  jobs_.OnWorkers({});
  EXPECT_EQ(CountSeries(Read(), "petit_job_heartbeat_seconds{"), 0);
  jobs_.OnEnded("jobs/j");
  EXPECT_EQ(CountSeries(Read(), "petit_job_"), 0);
}

TEST_F(JobMetricsTest, ADroppedArmLosesItsSeries) {
  jobs_.OnEvent("jobs/j", Progress(7));
  v1::JobEvent dropped;
  dropped.mutable_arm_dropped()->set_arm("alpha-0.5");
  jobs_.OnEvent("jobs/j", dropped);
  EXPECT_EQ(CountSeries(Read(), "petit_job_loss"), 0);
  EXPECT_EQ(CountSeries(Read(), "petit_job_step"), 1);
}

}  // namespace
}  // namespace petit::serving
