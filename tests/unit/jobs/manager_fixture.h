// A job manager among fakes, driven by hand, that can be stopped and started again.
#ifndef PETIT_TESTS_UNIT_JOBS_MANAGER_FIXTURE_H_
#define PETIT_TESTS_UNIT_JOBS_MANAGER_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/jobs/job_fakes.h"

namespace petit::serving {

class ManagerTest : public ::testing::Test {
 protected:
  ManagerTest() {
    settings_.root = directory_.path() + "/jobs";
    settings_.max_running_per_device = 1;
    settings_.heartbeat_timeout = absl::Seconds(120);
    settings_.stop_grace = absl::Seconds(60);
    models_.models["student"].versions_root = versions_root();
  }

  void SetUp() override { Start(); }

  std::string versions_root() const { return directory_.path() + "/models/student"; }
  std::string DirectoryOf(const std::string& job) const { return settings_.root + job.substr(4); }

  JobManagerOptions Options() const {
    JobManagerOptions options;
    options.resolve = FakeResolve;
    options.clock = &clock_;
    options.threads = false;
    return options;
  }

  void Start() {
    auto manager = JobManager::Start(settings_, &models_, cluster_.MakeLauncher(), &observer_, Options());
    ASSERT_TRUE(manager.ok()) << manager.status();
    manager_ = *std::move(manager);
  }

  // As a server that dies and another one.
  void Restart() {
    manager_.reset();
    Start();
  }

  // A round, `after` the last one.
  void Round(absl::Duration after = absl::Milliseconds(200)) {
    clock_.Advance(after);
    manager_->RunOnce();
  }

  // Until the next attempt may begin, however long it has been put off.
  void LongRound() {
    Round();
    Round(absl::Minutes(1));
  }

  void SayFailed(const std::string& name, int attempt, const std::string& reason, bool retryable) {
    worker::v1::WorkerEvent event;
    event.mutable_failed()->set_reason(reason);
    event.mutable_failed()->set_retryable(retryable);
    cluster_.Say(name, attempt, event);
    cluster_.Die(name, attempt, "exit status 1");
  }

  void SayStopped(const std::string& name, int attempt, std::int64_t step) {
    worker::v1::WorkerEvent event;
    event.mutable_stopped()->set_step(step);
    cluster_.Say(name, attempt, event);
    cluster_.Die(name, attempt, "exit status 0");
  }

  std::string Create(const v1::CreateJobRequest& request) {
    const auto job = manager_->Create(request);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? job->name() : "jobs/none";
  }

  // A job whose first attempt runs.
  std::string CreateRunning(const v1::CreateJobRequest& request) {
    std::string name = Create(request);
    Round();
    EXPECT_EQ(Get(name).state(), v1::JOB_STATE_RUNNING);
    return name;
  }

  v1::Job Get(const std::string& name) const {
    const auto job = manager_->Get(name);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? *job : v1::Job();
  }

  // All events, whose sequence is checked.
  std::vector<v1::JobEvent> EventsOf(const std::string& name) const {
    const auto events = manager_->EventsAfter(name, 0, 1 << 20);
    EXPECT_TRUE(events.ok()) << events.status();
    if (!events.ok()) return {};
    for (std::size_t i = 0; i < events->events.size(); ++i) {
      EXPECT_EQ(events->events[i].sequence(), static_cast<std::int64_t>(i) + 1);
    }
    return events->events;
  }

  std::vector<std::int64_t> StepsOf(const std::string& name) const {
    std::vector<std::int64_t> steps;
    for (const v1::JobEvent& event : EventsOf(name)) {
      if (event.has_progress()) steps.push_back(event.progress().step());
    }
    return steps;
  }

  std::vector<v1::JobState> StatesOf(const std::string& name) const {
    std::vector<v1::JobState> states;
    for (const v1::JobEvent& event : EventsOf(name)) {
      if (event.has_state_change()) states.push_back(event.state_change().state());
    }
    return states;
  }

  JobsDirectory directory_;
  JobsSettings settings_;
  FakeClock clock_;
  FakeModels models_;
  FakeCluster cluster_;
  RecordingObserver observer_;
  std::unique_ptr<JobManager> manager_;
};

}  // namespace petit::serving

#endif  // PETIT_TESTS_UNIT_JOBS_MANAGER_FIXTURE_H_
