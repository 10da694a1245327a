#include "server/jobs/job_manager.h"

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/jobs/manager_fixture.h"

namespace petit::serving {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class JobManagerTest : public ManagerTest {};

TEST_F(JobManagerTest, AJobGoesFromQueuedOverRunningToSucceeded) {
  const auto created = manager_->Create(RequestFor({"a", "b"}));
  ASSERT_TRUE(created.ok()) << created.status();
  const std::string name = created->name();
  EXPECT_EQ(created->state(), v1::JOB_STATE_QUEUED);
  EXPECT_TRUE(created->has_create_time());
  EXPECT_EQ(created->last_sequence(), 1);
  EXPECT_EQ(created->spec().resources().device(), "cpu") << "the spec is the complete one";

  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(Get(name).attempt(), 1);
  EXPECT_TRUE(Get(name).has_start_time());
  cluster_.SayProgress(name, 1, 1);
  cluster_.SayHeartbeat(name, 1);
  cluster_.SayProgress(name, 1, 2);
  Round();
  EXPECT_EQ(Get(name).progress().step(), 2);
  cluster_.Finish(name, 1, {"b", "a"});
  Round();

  const v1::Job job = Get(name);
  EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_TRUE(job.has_end_time());
  EXPECT_EQ(job.error(), "");
  ASSERT_EQ(job.students_size(), 2);
  EXPECT_EQ(job.students(0).arm(), "a");
  EXPECT_FALSE(job.students(0).best());
  EXPECT_TRUE(job.students(1).best());
  EXPECT_EQ(job.students(1).checkpoint(), DirectoryOf(name) + "/students/b");
  EXPECT_EQ(job.students(1).published_as(), "");
  EXPECT_EQ(FileText(DirectoryOf(name) + "/students/b/model.safetensors"), "weights of b");
  EXPECT_THAT(StepsOf(name), ElementsAre(1, 2));
  EXPECT_THAT(StatesOf(name), ElementsAre(v1::JOB_STATE_QUEUED, v1::JOB_STATE_RUNNING, v1::JOB_STATE_SUCCEEDED));
  EXPECT_TRUE(EventsOf(name).back().has_state_change()) << "the end is the last event";
  EXPECT_EQ(job.last_sequence(), static_cast<std::int64_t>(EventsOf(name).size()));
}

TEST_F(JobManagerTest, TheLaunchIsWhatTheSpecAsksFor) {
  v1::CreateJobRequest request = RequestFor({"a"});
  request.mutable_spec()->mutable_resources()->set_threads(3);
  request.mutable_spec()->mutable_resources()->set_memory_bytes(1 << 30);
  request.mutable_spec()->mutable_resources()->set_tasks(2);
  request.mutable_spec()->mutable_resources()->set_device("cuda:0");
  const std::string name = CreateRunning(request);
  const Launch& launch = cluster_.Of(name, 1).launch;
  EXPECT_EQ("jobs/" + launch.job_id, name);
  EXPECT_EQ(launch.job_directory, DirectoryOf(name));
  EXPECT_EQ(launch.attempt_directory, DirectoryOf(name) + "/attempts/1");
  EXPECT_THAT(launch.arguments, ElementsAre("--task", DirectoryOf(name) + "/task.textproto", "--attempt", "1"));
  EXPECT_EQ(launch.threads, 3);
  EXPECT_EQ(launch.memory_bytes, 1 << 30);
  EXPECT_EQ(launch.tasks, 2);
  EXPECT_EQ(launch.device, "cuda:0");
  const std::string task = FileText(DirectoryOf(name) + "/task.textproto");
  EXPECT_THAT(task, HasSubstr(absl::StrCat("job: \"", name, "\"")));
  EXPECT_THAT(task, HasSubstr(absl::StrCat("job_directory: \"", DirectoryOf(name), "\"")));
  EXPECT_THAT(task, HasSubstr(absl::StrCat("cache_directory: \"", settings_.root, "/teacher-cache\"")));
}

TEST_F(JobManagerTest, WhatCreateReturnedIsOnTheDisk) {
  const std::string name = Create(RequestFor({"a"}));
  Restart();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_QUEUED);
  EXPECT_THAT(StatesOf(name), ElementsAre(v1::JOB_STATE_QUEUED));
  Round();
  EXPECT_EQ(cluster_.Of(name, 1).starts, 1);
}

TEST_F(JobManagerTest, CreateIsIdempotentByRequestId) {
  v1::CreateJobRequest request = RequestFor({"a"});
  request.set_request_id("r1");
  const std::string name = Create(request);
  EXPECT_EQ(Create(request), name);
  Restart();
  Round();
  EXPECT_EQ(Create(request), name);
  EXPECT_EQ(cluster_.starts(), 1);
  request.mutable_spec()->mutable_training()->set_steps(4);
  const auto other = manager_->Create(request);
  EXPECT_TRUE(absl::IsAlreadyExists(other.status())) << other.status();
  EXPECT_THAT(std::string(other.status().message()), HasSubstr(name));
  request.set_request_id("");
  EXPECT_NE(Create(request), Create(request));
}

TEST_F(JobManagerTest, ABadRequestStoresNothing) {
  v1::CreateJobRequest request = RequestFor({"a"});
  request.set_request_id(std::string(129, 'x'));
  EXPECT_TRUE(absl::IsInvalidArgument(manager_->Create(request).status()));
  request.set_request_id("r");
  request.mutable_spec()->set_teacher("bad");
  EXPECT_TRUE(absl::IsInvalidArgument(manager_->Create(request).status()));
  EXPECT_EQ(manager_->List({})->jobs_size(), 0);
  EXPECT_THAT(NamesIn(settings_.root), Not(Contains("r")));
}

TEST_F(JobManagerTest, TheQueueIsBounded) {
  settings_.max_queued = 2;
  Restart();
  v1::CreateJobRequest first = RequestFor({"a"});
  first.set_request_id("first");
  const std::string name = Create(first);
  Create(RequestFor({"a"}));
  EXPECT_TRUE(absl::IsResourceExhausted(manager_->Create(RequestFor({"a"})).status()));
  EXPECT_EQ(Create(first), name) << "a retry is no new job";
  Round();  // one runs
  Create(RequestFor({"a"}));
  EXPECT_TRUE(absl::IsResourceExhausted(manager_->Create(RequestFor({"a"})).status()));
}

TEST_F(JobManagerTest, EachDeviceRunsItsJobsFirstInFirstOut) {
  v1::CreateJobRequest cpu = RequestFor({"a"});
  v1::CreateJobRequest cuda = RequestFor({"a"});
  cuda.mutable_spec()->mutable_resources()->set_device("cuda:0");
  const std::string first = Create(cpu);
  const std::string second = Create(cpu);
  const std::string third = Create(cpu);
  const std::string other = Create(cuda);
  Round();
  EXPECT_EQ(cluster_.starts(), 2);
  EXPECT_EQ(Get(first).state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(Get(other).state(), v1::JOB_STATE_RUNNING);
  cluster_.Finish(first, 1, {"a"});
  Round();
  EXPECT_EQ(Get(second).state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(Get(third).state(), v1::JOB_STATE_QUEUED);
  settings_.max_running_per_device = 2;
  Restart();
  Round();
  EXPECT_EQ(Get(third).state(), v1::JOB_STATE_RUNNING);
}

TEST_F(JobManagerTest, NamesAreChecked) {
  for (const char* name : {"", "jobs/", "job/x", "jobs/x/y", "x", "jobs/../x"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(manager_->Get(name).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(manager_->Cancel(name).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(manager_->Delete(name))) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(manager_->EventsAfter(name, 0, 1).status())) << name;
  }
  for (const char* name : {"jobs/none", "jobs/..", "jobs/'; DROP TABLE jobs; --"}) {
    EXPECT_TRUE(absl::IsNotFound(manager_->Get(name).status())) << name;
    EXPECT_TRUE(absl::IsNotFound(manager_->Cancel(name).status())) << name;
    EXPECT_TRUE(absl::IsNotFound(manager_->Delete(name))) << name;
    EXPECT_TRUE(absl::IsNotFound(manager_->EventsAfter(name, 0, 1).status())) << name;
  }
}

TEST_F(JobManagerTest, EventsComeInPortions) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  for (int step = 1; step <= 5; ++step) cluster_.SayProgress(name, 1, step);
  Round();
  const auto portion = manager_->EventsAfter(name, 3, 2);
  ASSERT_THAT(portion->events, SizeIs(2));
  EXPECT_EQ(portion->events[0].sequence(), 4);
  EXPECT_FALSE(portion->ended);
  cluster_.Finish(name, 1, {"a"});
  Round();
  const std::int64_t last = Get(name).last_sequence();
  EXPECT_FALSE(manager_->EventsAfter(name, 0, static_cast<int>(last) - 1)->ended);
  EXPECT_TRUE(manager_->EventsAfter(name, 0, static_cast<int>(last))->ended);
  EXPECT_TRUE(manager_->EventsAfter(name, last, 10)->ended);
  EXPECT_THAT(manager_->EventsAfter(name, last, 10)->events, IsEmpty());
  EXPECT_TRUE(absl::IsInvalidArgument(manager_->EventsAfter(name, -1, 10).status()));
}

TEST_F(JobManagerTest, PagesAreNewestFirstAndStableUnderInserts) {
  std::vector<std::string> names;
  for (int i = 0; i < 5; ++i) names.push_back(Create(RequestFor({"a"})));
  v1::ListJobsRequest request;
  request.set_page_size(2);
  auto page = manager_->List(request);
  ASSERT_EQ(page->jobs_size(), 2);
  EXPECT_EQ(page->jobs(0).name(), names[4]);
  EXPECT_EQ(page->jobs(1).name(), names[3]);
  Create(RequestFor({"a"}));
  request.set_page_token(page->next_page_token());
  page = manager_->List(request);
  ASSERT_EQ(page->jobs_size(), 2);
  EXPECT_EQ(page->jobs(0).name(), names[2]);
  EXPECT_EQ(page->jobs(1).name(), names[1]);
  request.set_page_token(page->next_page_token());
  page = manager_->List(request);
  ASSERT_EQ(page->jobs_size(), 1);
  EXPECT_EQ(page->jobs(0).name(), names[0]);
  EXPECT_EQ(page->next_page_token(), "");
  EXPECT_EQ(manager_->List({})->jobs_size(), 6);
  for (const char* token : {"x", "am9icw", "am9icyBiZWZvcmUgIDc"}) {
    request.set_page_token(token);
    EXPECT_TRUE(absl::IsInvalidArgument(manager_->List(request).status())) << token;
  }
  request.set_page_token("");
  request.set_page_size(-1);
  EXPECT_TRUE(absl::IsInvalidArgument(manager_->List(request).status()));
}

TEST_F(JobManagerTest, DeleteRemovesAnEndedJobWithItsFiles) {
  const std::string name = CreateRunning(RequestFor({"a"}, "student"));
  EXPECT_TRUE(absl::IsFailedPrecondition(manager_->Delete(name)));
  cluster_.Finish(name, 1, {"a"});
  Round();
  ASSERT_EQ(Get(name).state(), v1::JOB_STATE_SUCCEEDED);
  ASSERT_TRUE(manager_->Delete(name).ok());
  EXPECT_FALSE(PathExists(DirectoryOf(name)));
  EXPECT_TRUE(absl::IsNotFound(manager_->Get(name).status()));
  EXPECT_TRUE(absl::IsNotFound(manager_->Delete(name)));
  EXPECT_EQ(FileText(versions_root() + "/1/model.safetensors"), "weights of a") << "what was published stays";
}

TEST_F(JobManagerTest, OnlyTheLastEndedJobsAreKept) {
  settings_.max_ended = 2;
  Restart();
  std::vector<std::string> names;
  for (int i = 0; i < 4; ++i) {
    names.push_back(CreateRunning(RequestFor({"a"})));
    cluster_.Finish(names.back(), 1, {"a"});
    Round();
  }
  const std::string running = CreateRunning(RequestFor({"a"}));
  EXPECT_TRUE(absl::IsNotFound(manager_->Get(names[0]).status()));
  EXPECT_FALSE(PathExists(DirectoryOf(names[0])));
  EXPECT_TRUE(absl::IsNotFound(manager_->Get(names[1]).status()));
  EXPECT_TRUE(manager_->Get(names[2]).ok());
  EXPECT_TRUE(manager_->Get(names[3]).ok());
  EXPECT_EQ(Get(running).state(), v1::JOB_STATE_RUNNING);
}

TEST_F(JobManagerTest, OneServerOwnsTheStore) {
  const auto other = JobManager::Start(settings_, &models_, cluster_.MakeLauncher(), nullptr, Options());
  EXPECT_TRUE(absl::IsFailedPrecondition(other.status())) << other.status();
  EXPECT_THAT(std::string(other.status().message()), HasSubstr(settings_.root));
}

TEST_F(JobManagerTest, ADamagedStoreIsDataLoss) {
  manager_.reset();
  WriteText(settings_.root + "/store.sqlite", std::string(8192, 'x'));
  const auto manager = JobManager::Start(settings_, &models_, cluster_.MakeLauncher(), nullptr, Options());
  EXPECT_TRUE(absl::IsDataLoss(manager.status())) << manager.status();
}

TEST_F(JobManagerTest, ObserversHearOfEventsEndsAndCounts) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  EXPECT_THAT(observer_.all_counts.back(), Contains(std::make_pair(v1::JOB_STATE_RUNNING, 1)));
  EXPECT_THAT(observer_.all_counts.back(), SizeIs(5));
  cluster_.SayProgress(name, 1, 7);
  Round();
  EXPECT_EQ(observer_.events.back().first, name);
  EXPECT_EQ(observer_.events.back().second.progress().step(), 7);
  EXPECT_THAT(observer_.ended, IsEmpty());
  const std::size_t counts = observer_.all_counts.size();
  Round();
  EXPECT_THAT(observer_.all_counts, SizeIs(counts)) << "told when they change";
  cluster_.Finish(name, 1, {"a"});
  Round();
  EXPECT_THAT(observer_.ended, ElementsAre(name));
  EXPECT_THAT(observer_.all_counts.back(), Contains(std::make_pair(v1::JOB_STATE_SUCCEEDED, 1)));
  EXPECT_EQ(observer_.events.size(), EventsOf(name).size()) << "each once";
}

TEST_F(JobManagerTest, ObserversHearWhenAWorkerWasLastHeard) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  Round();
  ASSERT_THAT(observer_.workers, SizeIs(1));
  EXPECT_EQ(observer_.workers[0].job, name);
  EXPECT_EQ(observer_.workers[0].attempt, 1);
  Round(absl::Seconds(30));
  EXPECT_GE(clock_.Now() - observer_.workers[0].heard, absl::Seconds(30));
  cluster_.SayHeartbeat(name, 1);
  Round();
  EXPECT_EQ(observer_.workers[0].heard, clock_.Now());
  // Events that cannot be read are no sign of life, and the worker is there all the same.
  const std::string events = DirectoryOf(name) + "/attempts/1/events.jsonl";
  std::filesystem::rename(events, events + ".aside");
  std::filesystem::create_symlink(events + ".aside", events);  // which is not followed
  Round(absl::Seconds(30));
  ASSERT_THAT(observer_.workers, SizeIs(1));
  EXPECT_GE(clock_.Now() - observer_.workers[0].heard, absl::Seconds(30));
  std::filesystem::remove(events);
  std::filesystem::rename(events + ".aside", events);
  cluster_.Finish(name, 1, {"a"});
  Round();
  EXPECT_THAT(observer_.workers, IsEmpty());
}

TEST_F(JobManagerTest, SubscribersAreWokenUntilTheyUnsubscribe) {
  int wakes = 0;
  int id = 0;
  id = manager_->Subscribe([&] {
    ++wakes;
    if (wakes == 2) manager_->Unsubscribe(id);
  });
  Round();
  EXPECT_EQ(wakes, 0) << "nothing happened";
  const std::string name = CreateRunning(RequestFor({"a"}));
  EXPECT_EQ(wakes, 1);
  cluster_.SayHeartbeat(name, 1);
  Round();
  EXPECT_EQ(wakes, 1) << "a heartbeat is no event";
  cluster_.SayProgress(name, 1, 1);
  Round();
  EXPECT_EQ(wakes, 2);
  cluster_.SayProgress(name, 1, 2);
  Round();
  EXPECT_EQ(wakes, 2);
}

}  // namespace
}  // namespace petit::serving
