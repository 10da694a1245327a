// The job manager with its own threads and clock.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/jobs/manager_fixture.h"

namespace petit::serving {
namespace {

using ::testing::SizeIs;

// Workers that have finished as soon as they are started.
class InstantLauncher final : public Launcher {
 public:
  absl::Status Start(const Launch& launch) override {
    WriteText(launch.attempt_directory + "/students/a/config.json", "{}");
    WriteText(
        launch.attempt_directory + "/events.jsonl",
        "{\"sequence\": 1, \"progress\": {\"step\": 1}}\n{\"sequence\": 2, \"finished\": {\"bestArm\": \"a\"}}\n");
    return absl::OkStatus();
  }
  absl::StatusOr<WorkerReport> Poll(const Launch& launch) override {
    WorkerReport report;
    if (PathExists(launch.attempt_directory + "/events.jsonl")) report.state = WorkerState::kEnded;
    return report;
  }
  absl::Status Stop(const Launch& /*launch*/, bool /*kill*/) override { return absl::OkStatus(); }
};

class Gate {
 public:
  void Open() {
    const std::lock_guard<std::mutex> lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

class JobThreadsTest : public ManagerTest {
 protected:
  void SetUp() override {
    settings_.max_running_per_device = 3;
    StartThreads();
  }

  // Before what its thread uses.
  void TearDown() override { manager_.reset(); }

  void StartThreads() {
    JobManagerOptions options;
    options.resolve = FakeResolve;
    auto manager = JobManager::Start(settings_, &models_, std::make_unique<InstantLauncher>(), nullptr, options);
    ASSERT_TRUE(manager.ok()) << manager.status();
    manager_ = *std::move(manager);
    manager_->Subscribe([this] {
      const std::lock_guard<std::mutex> lock(mutex_);
      ++wakes_;
      woken_.notify_all();
    });
  }

  // As a watching client does.
  void AwaitEnd(const std::string& name) {
    std::int64_t last = 0;
    while (true) {
      int before = 0;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        before = wakes_;
      }
      const auto events = manager_->EventsAfter(name, last, 2);
      ASSERT_TRUE(events.ok()) << events.status();
      for (const v1::JobEvent& event : events->events) EXPECT_EQ(event.sequence(), ++last);
      if (events->ended) return;
      if (!events->events.empty()) continue;
      std::unique_lock<std::mutex> lock(mutex_);
      woken_.wait(lock, [&] { return wakes_ != before; });
    }
  }

  std::mutex mutex_;
  std::condition_variable woken_;
  int wakes_ = 0;
};

TEST_F(JobThreadsTest, ManyClientsCreateAndWatchJobsAtTheSameTime) {
  std::vector<std::thread> clients;
  std::atomic<int> succeeded = 0;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&, i] {
      v1::CreateJobRequest request = RequestFor({"a"}, i == 0 ? "student" : "");
      const auto job = manager_->Create(request);
      ASSERT_TRUE(job.ok()) << job.status();
      AwaitEnd(job->name());
      const auto ended = manager_->Get(job->name());
      if (ended.ok() && ended->state() == v1::JOB_STATE_SUCCEEDED) ++succeeded;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(succeeded, 4);
  EXPECT_THAT(models_.served, SizeIs(1));
}

TEST_F(JobThreadsTest, OneOfSeveralEqualRequestsCreatesTheJob) {
  v1::CreateJobRequest request = RequestFor({"a"});
  request.set_request_id("same");
  std::vector<std::thread> clients;
  std::vector<std::string> names(4);
  for (std::string& name : names) {
    clients.emplace_back([&] {
      const auto job = manager_->Create(request);
      if (job.ok()) name = job->name();
    });
  }
  for (std::thread& client : clients) client.join();
  for (const std::string& name : names) EXPECT_EQ(name, names[0]);
  EXPECT_EQ(manager_->List({})->jobs_size(), 1);
  AwaitEnd(names[0]);
}

TEST_F(JobThreadsTest, AVersionThatLoadsSlowlyKeepsNoOtherJobWaiting) {
  Gate loaded;
  models_.on_serve = [&] { loaded.Wait(); };
  const std::string slow = Create(RequestFor({"a"}, "student"));
  const std::string quick = Create(RequestFor({"a"}));
  AwaitEnd(quick);
  EXPECT_EQ(Get(slow).state(), v1::JOB_STATE_RUNNING);
  loaded.Open();
  AwaitEnd(slow);
  EXPECT_EQ(Get(slow).state(), v1::JOB_STATE_SUCCEEDED);
}

TEST_F(JobThreadsTest, AServerThatEndsWhileAVersionLoadsLeavesThePublicationToTheNext) {
  Gate serving;
  Gate ending;
  models_.on_serve = [&] {
    serving.Open();
    ending.Wait();
  };
  models_.serve_status = absl::InternalError("the server ends");
  const std::string name = Create(RequestFor({"a"}, "student"));
  serving.Wait();
  std::thread end([&] { manager_.reset(); });
  ending.Open();
  end.join();
  models_.on_serve = nullptr;
  models_.serve_status = absl::OkStatus();
  StartThreads();
  AwaitEnd(name);
}

TEST_F(JobThreadsTest, AfterUnsubscribeNobodyIsWoken) {
  std::atomic<bool> is_over = false;
  std::atomic<int> late = 0;
  for (int i = 0; i < 5; ++i) {
    is_over = false;
    const int id = manager_->Subscribe([&] {
      if (is_over) ++late;
    });
    const std::string name = Create(RequestFor({"a"}));
    manager_->Unsubscribe(id);
    is_over = true;
    AwaitEnd(name);
  }
  EXPECT_EQ(late, 0);
}

}  // namespace
}  // namespace petit::serving
