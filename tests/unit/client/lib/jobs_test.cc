#include "client/lib/jobs.h"

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/fake_jobs.h"

namespace petit::client {
namespace {

using petit::v1::JobEvent;
using petit::v1::JobSpec;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

JobClient Connect(const std::string& address) {
  auto client = JobClient::Create(
      {.server = address,
       .timeout = absl::Seconds(30),
       .model_timeout = absl::Seconds(60),
       .retry = {.max_attempts = 4, .initial_backoff = absl::Milliseconds(1), .max_backoff = absl::Milliseconds(20)}});
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

JobSpec Spec() {
  JobSpec spec;
  spec.set_teacher("teacher");
  spec.add_arms()->set_alpha(0.5);
  return spec;
}

// A job with so many log lines, which has ended.
void AddEndedJob(FakeJobServer& server, const std::string& name, int lines) {
  for (int i = 0; i < lines; ++i) server.AddLog(name, "line " + std::to_string(i + 1));
  server.AddState(name, petit::v1::JOB_STATE_SUCCEEDED);
}

struct Seen {
  std::vector<std::int64_t> sequences;
  std::vector<std::string> lost;

  JobEventSink Sink() {
    return [this](const JobEvent& event) {
      sequences.push_back(event.sequence());
      return absl::OkStatus();
    };
  }
  WatchOptions Options(std::int64_t after = 0) {
    return {.after_sequence = after,
            .on_lost = [this](const absl::Status& why, absl::Duration) { lost.emplace_back(why.message()); }};
  }
};

TEST(JobClient, RefusesOptionsThatCannotBeMeant) {
  EXPECT_EQ(JobClient::Create({.server = ""}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(JobClient, CreatesAndGetsAJobByEitherName) {
  FakeJobServer server;
  const JobClient client = Connect(server.address());
  const auto job = client.CreateJob(Spec(), "mine");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->name(), "jobs/j1");
  EXPECT_EQ(job->state(), petit::v1::JOB_STATE_QUEUED);
  EXPECT_EQ(server.last_create().request_id(), "mine");
  EXPECT_EQ(server.last_create().spec().teacher(), "teacher");
  EXPECT_EQ(client.GetJob("j1")->name(), "jobs/j1");
  EXPECT_EQ(client.GetJob("jobs/j1")->name(), "jobs/j1");
}

TEST(JobClient, ALostAnswerMakesNoSecondJob) {
  FakeJobServer server;
  server.LoseAnswers(2);
  const auto job = Connect(server.address()).CreateJob(Spec());
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(server.create_calls, 3);
  EXPECT_EQ(server.job_count(), 1);
  EXPECT_EQ(server.last_create().request_id().size(), 32);
}

TEST(JobClient, TwoCallsWithoutARequestIdMakeTwoJobs) {
  FakeJobServer server;
  const JobClient client = Connect(server.address());
  EXPECT_NE(client.CreateJob(Spec())->name(), client.CreateJob(Spec())->name());
}

TEST(JobClient, ErrorsCarryCodeMessageAndRequestId) {
  FakeJobServer server;
  const JobClient client = Connect(server.address());
  const absl::Status bad = client.CreateJob({}).status();
  EXPECT_EQ(bad.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(bad.message(), "spec.arms is empty");
  EXPECT_EQ(RequestId(bad), "request-8");
  EXPECT_EQ(server.create_calls, 1);
  EXPECT_EQ(client.GetJob("nobody").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(client.CancelJob("nobody").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(client.DeleteJob("nobody").code(), absl::StatusCode::kNotFound);
}

TEST(JobClient, ListsPagesNewestFirst) {
  FakeJobServer server;
  for (const char* name : {"jobs/a", "jobs/b", "jobs/c"}) server.AddState(name, petit::v1::JOB_STATE_QUEUED);
  const JobClient client = Connect(server.address());
  auto page = client.ListJobs();
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->jobs.size(), 2);
  EXPECT_EQ(page->jobs[0].name(), "jobs/c");
  page = client.ListJobs(2, page->next_page_token);
  ASSERT_EQ(page->jobs.size(), 1);
  EXPECT_EQ(page->jobs[0].name(), "jobs/a");
  EXPECT_THAT(page->next_page_token, IsEmpty());
  EXPECT_EQ(client.ListJobs(0, "x").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(JobClient, CancelsAndDeletes) {
  FakeJobServer server;
  server.AddState("jobs/a", petit::v1::JOB_STATE_RUNNING);
  const JobClient client = Connect(server.address());
  EXPECT_TRUE(client.CancelJob("a")->cancelling());
  EXPECT_EQ(client.DeleteJob("a").code(), absl::StatusCode::kFailedPrecondition);
  server.AddState("jobs/a", petit::v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(client.CancelJob("a").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(client.DeleteJob("a").ok());
  EXPECT_EQ(server.job_count(), 0);
}

TEST(JobClient, PublishesAStudentOnceWhereAnswersAreLost) {
  FakeJobServer server;
  AddEndedJob(server, "jobs/j", 1);
  petit::v1::Job job = *Connect(server.address()).GetJob("j");
  for (const char* arm : {"a", "b"}) {
    job.mutable_spec()->add_arms()->set_name(arm);
    job.add_students()->set_arm(arm);
  }
  server.SetJob(job);
  server.LoseAnswers(2);
  const auto published = Connect(server.address()).PublishStudent("j", "b", "student");
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_EQ(server.publish_calls, 3);
  EXPECT_EQ(server.last_publish().name(), "jobs/j");
  EXPECT_EQ(server.last_publish().publish_as(), "student");
  EXPECT_EQ(FindStudent(*published, "b")->published_as(), "student/1");
  EXPECT_EQ(FindStudent(*published, "a")->published_as(), "");
  EXPECT_EQ(Connect(server.address()).PublishStudent("j", "c", "student").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(JobClient, FindsTheStudentOfAnArmOrTheBest) {
  petit::v1::Job job;
  EXPECT_EQ(FindStudent(job), nullptr);
  job.mutable_spec()->add_arms()->set_name("a");
  job.add_students()->set_arm("a");
  EXPECT_EQ(FindStudent(job), &job.students(0)) << "the only one";
  job.mutable_spec()->add_arms()->set_name("b");
  EXPECT_EQ(FindStudent(job), nullptr) << "the other arm may have been the best";
  job.add_students()->set_arm("b");
  EXPECT_EQ(FindStudent(job), nullptr);
  job.mutable_students(1)->set_best(true);
  EXPECT_EQ(FindStudent(job), &job.students(1));
  EXPECT_EQ(FindStudent(job, "a"), &job.students(0));
  EXPECT_EQ(FindStudent(job, "c"), nullptr);
}

TEST(Watch, GivesEveryEventOnceAndInOrder) {
  FakeJobServer server;
  AddEndedJob(server, "jobs/a", 3);
  Seen seen;
  const absl::Status status = Connect(server.address()).Watch("a", seen.Options(), seen.Sink());
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(seen.sequences, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(seen.lost, IsEmpty());
}

TEST(Watch, StartsAfterTheEventThatItIsGiven) {
  FakeJobServer server;
  AddEndedJob(server, "jobs/a", 3);
  Seen seen;
  EXPECT_TRUE(Connect(server.address()).Watch("a", seen.Options(2), seen.Sink()).ok());
  EXPECT_THAT(seen.sequences, ElementsAre(3, 4));
}

TEST(Watch, FollowsAJobUntilItEnds) {
  FakeJobServer server;
  server.AddState("jobs/a", petit::v1::JOB_STATE_RUNNING);
  Seen seen;
  const absl::Status status = Connect(server.address()).Watch("a", seen.Options(), [&](const JobEvent& event) {
    seen.sequences.push_back(event.sequence());
    if (event.sequence() == 1) AddEndedJob(server, "jobs/a", 1);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(seen.sequences, ElementsAre(1, 2, 3));
}

TEST(Watch, ResumesAfterTheLastEventSeenOverLostConnections) {
  FakeJobServer server;
  AddEndedJob(server, "jobs/a", 5);
  server.BreakStreams({2, 1, 0, 0, 0, 0, 1});  // more than max_attempts of a call
  Seen seen;
  const absl::Status status = Connect(server.address()).Watch("a", seen.Options(), seen.Sink());
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(seen.sequences, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(server.watched_after(), ElementsAre(0, 2, 3, 3, 3, 3, 3, 4));
  EXPECT_EQ(seen.lost.size(), 7);
  EXPECT_EQ(seen.lost.front(), "the server is draining");
}

TEST(Watch, AnEventThatComesAgainIsNotGivenAgain) {
  FakeJobServer server;
  AddEndedJob(server, "jobs/a", 3);
  server.repeat_events = 2;
  Seen seen;
  EXPECT_TRUE(Connect(server.address()).Watch("a", seen.Options(2), seen.Sink()).ok());
  EXPECT_THAT(seen.sequences, ElementsAre(3, 4));
}

TEST(Watch, OutlastsARestartOfTheServer) {
  auto server = std::make_unique<FakeJobServer>();
  const int port = server->port();
  server->AddState("jobs/a", petit::v1::JOB_STATE_RUNNING);
  const JobClient client = Connect(server->address());
  Seen seen;
  std::thread restart;
  const absl::Status status = client.Watch("a", seen.Options(), [&](const JobEvent& event) {
    seen.sequences.push_back(event.sequence());
    if (event.sequence() == 1) {
      restart = std::thread([&] {
        server.reset();
        server = std::make_unique<FakeJobServer>(port, [](FakeJobServer& next) {
          next.AddState("jobs/a", petit::v1::JOB_STATE_RUNNING);
          AddEndedJob(next, "jobs/a", 1);
        });
      });
    }
    return absl::OkStatus();
  });
  restart.join();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(seen.sequences, ElementsAre(1, 2, 3));
  EXPECT_THAT(seen.lost, Not(IsEmpty()));
}

TEST(Watch, DoesNotRepeatWhatWillNotPass) {
  FakeJobServer server;
  Seen seen;
  EXPECT_EQ(Connect(server.address()).Watch("a", seen.Options(), seen.Sink()).code(), absl::StatusCode::kNotFound);
  AddEndedJob(server, "jobs/b", 2);
  server.BreakStreams({1}, {grpc::StatusCode::INTERNAL, "broken"});
  EXPECT_EQ(Connect(server.address()).Watch("b", seen.Options(), seen.Sink()).code(), absl::StatusCode::kInternal);
  EXPECT_THAT(seen.lost, IsEmpty());
}

TEST(Watch, GivesUpWhereNoConnectionComesBackWithinItsTimeout) {
  FakeJobServer server;
  AddEndedJob(server, "jobs/a", 2);
  server.BreakStreams(std::vector<int>(1000, 0));
  Seen seen;
  const absl::Status status =
      Connect(server.address()).Watch("a", seen.Options(), seen.Sink(), {.timeout = absl::Milliseconds(30)});
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(seen.sequences, IsEmpty());
}

TEST(Watch, DoesNotWaitForAServerThatWasNeverThere) {
  std::string address;
  {
    FakeJobServer server;
    address = server.address();
  }
  Seen seen;
  const absl::Status status = Connect(address).Watch("a", seen.Options(), seen.Sink());
  EXPECT_TRUE(IsServerUnreachable(status)) << status;
  EXPECT_THAT(seen.lost, IsEmpty());
}

TEST(Watch, EndsWithItsSinksError) {
  FakeJobServer server;
  server.AddState("jobs/a", petit::v1::JOB_STATE_RUNNING);
  const absl::Status status =
      Connect(server.address()).Watch("a", {}, [](const JobEvent&) { return absl::DataLossError("full"); });
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
}

TEST(Watch, EndsWhenCancelledAndLeavesTheJobAlone) {
  FakeJobServer server;
  server.AddState("jobs/a", petit::v1::JOB_STATE_RUNNING);
  Cancellation cancellation;
  std::thread other([&] {
    while (server.watching == 0) std::this_thread::yield();
    cancellation.Cancel();
  });
  Seen seen;
  const absl::Status status =
      Connect(server.address()).Watch("a", seen.Options(), seen.Sink(), {.cancellation = &cancellation});
  other.join();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(server.cancel_calls, 0);
}

TEST(JobNames, AreThoseOfTheProtocol) {
  EXPECT_EQ(JobName("x"), "jobs/x");
  EXPECT_EQ(JobName("jobs/x"), "jobs/x");
  EXPECT_EQ(JobStateName(petit::v1::JOB_STATE_RUNNING), "RUNNING");
  EXPECT_EQ(JobStateName(static_cast<petit::v1::JobState>(77)), "STATE_77");
  EXPECT_TRUE(HasEnded(petit::v1::JOB_STATE_FAILED));
  EXPECT_FALSE(HasEnded(petit::v1::JOB_STATE_RUNNING));
}

}  // namespace
}  // namespace petit::client
