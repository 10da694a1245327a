// What becomes of a job whose worker does not simply finish.
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/jobs/manager_fixture.h"

namespace petit::serving {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class JobAttemptsTest : public ManagerTest {
 protected:
  std::string ReasonOf(const std::string& name, int attempt) const {
    for (const v1::JobEvent& event : EventsOf(name)) {
      if (event.state_change().attempt() == attempt) return event.state_change().reason();
    }
    return "no such attempt";
  }
};

TEST_F(JobAttemptsTest, AWorkerThatDiedIsStartedAgainAsAnotherAttempt) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  cluster_.SayProgress(name, 1, 1);
  cluster_.Die(name, 1, "killed by signal 9");
  LongRound();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(Get(name).attempt(), 2);
  EXPECT_THAT(ReasonOf(name, 2), HasSubstr("killed by signal 9"));
  EXPECT_THAT(ReasonOf(name, 2), HasSubstr("attempts/1/worker.log"));
  cluster_.SayProgress(name, 2, 2);
  cluster_.Finish(name, 2, {"a"});
  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(StepsOf(name), ElementsAre(1, 2));
  EXPECT_THAT(cluster_.Of(name, 2).launch.arguments,
              ElementsAre("--task", DirectoryOf(name) + "/task.textproto", "--attempt", "2"));
}

TEST_F(JobAttemptsTest, WhatAWorkerWroteBeforeItDiedIsReadToTheEnd) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  for (int step = 1; step <= 40; ++step) {
    worker::v1::WorkerEvent event;
    event.mutable_progress()->set_step(step);
    event.mutable_progress()->add_arms()->set_arm(std::string(400000, 'x'));  // more than one look takes
    cluster_.Say(name, 1, event);
  }
  cluster_.SayText(name, 1, "{\"sequence\": 41, \"finis");
  cluster_.Die(name, 1, "killed by signal 9");
  LongRound();
  EXPECT_THAT(StepsOf(name), SizeIs(40));
  EXPECT_EQ(Get(name).attempt(), 2) << "half a line is no damage";
}

TEST_F(JobAttemptsTest, StartsWithoutProgressAreCountedAndTheJobFails) {
  settings_.max_attempts = 3;
  Restart();
  const std::string name = CreateRunning(RequestFor({"a"}));
  cluster_.Die(name, 1, "exit status 1");
  LongRound();
  cluster_.SayProgress(name, 2, 5);
  Round();
  cluster_.Die(name, 2, "exit status 1");  // one in a row without more progress
  LongRound();
  cluster_.SayProgress(name, 3, 4);  // resumed earlier; not beyond 5
  cluster_.Die(name, 3, "exit status 2");
  LongRound();
  cluster_.SayProgress(name, 4, 5);
  cluster_.Die(name, 4, "exit status 3");
  LongRound();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_RUNNING);
  cluster_.Die(name, 5, "exit status 4");
  LongRound();
  const v1::Job job = Get(name);
  EXPECT_EQ(job.state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ(job.attempt(), 5);
  EXPECT_THAT(job.error(), HasSubstr("3 starts in a row did not get beyond step 5"));
  EXPECT_THAT(job.error(), HasSubstr("exit status 4"));
  EXPECT_EQ(EventsOf(name).back().state_change().reason(), job.error());
  LongRound();
  EXPECT_EQ(cluster_.starts(), 5);
}

TEST_F(JobAttemptsTest, TheNextAttemptWaitsAWhile) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  cluster_.Die(name, 1, "");
  Round();
  Round();
  EXPECT_EQ(Get(name).attempt(), 1);
  Round(absl::Seconds(3));
  EXPECT_EQ(Get(name).attempt(), 2);
}

TEST_F(JobAttemptsTest, AFailureThatTryingAgainDoesNotHelpFailsTheJobAtOnce) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  SayFailed(name, 1, "the loss is not a number", false);
  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ(Get(name).error(), "the loss is not a number");
  EXPECT_EQ(cluster_.starts(), 1);
}

TEST_F(JobAttemptsTest, ARetryableFailureIsTriedAgain) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  SayFailed(name, 1, "cannot read the disk", true);
  LongRound();
  EXPECT_EQ(Get(name).attempt(), 2);
  EXPECT_THAT(ReasonOf(name, 2), HasSubstr("cannot read the disk"));
}

TEST_F(JobAttemptsTest, RunningOutOfMemoryFailsTheJobAndSaysWhatWouldHelp) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  cluster_.Of(name, 1).report.lost_memory = true;
  cluster_.Die(name, 1, "out of memory");
  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(Get(name).error(), HasSubstr("raise resources.memory_bytes"));
}

TEST_F(JobAttemptsTest, LastWordsAboutMemoryFailTheJobToo) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  std::ofstream(cluster_.Of(name, 1).launch.attempt_directory + "/worker.log")
      << "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n";
  cluster_.Die(name, 1, "killed by signal 6");
  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(Get(name).error(), AllOf(HasSubstr("killed by signal 6"), HasSubstr("raise resources.memory_bytes")));
}

TEST_F(JobAttemptsTest, AWorkerStoppedByOthersGoesOnAsAnotherAttempt) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  SayStopped(name, 1, 7);
  LongRound();
  EXPECT_EQ(Get(name).attempt(), 2);
  EXPECT_THAT(ReasonOf(name, 2), HasSubstr("step 7"));
}

TEST_F(JobAttemptsTest, DamagedEventsEndTheAttempt) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  cluster_.SayProgress(name, 1, 1);
  cluster_.SayText(name, 1, "garbage\n");
  cluster_.SayProgress(name, 1, 2);
  Round();
  EXPECT_THAT(cluster_.Of(name, 1).stops, ElementsAre(true));
  LongRound();
  EXPECT_EQ(Get(name).attempt(), 2);
  EXPECT_THAT(ReasonOf(name, 2), HasSubstr("events.jsonl is damaged"));
  EXPECT_THAT(StepsOf(name), ElementsAre(1));
}

TEST_F(JobAttemptsTest, ADamagedFileCannotFinishAJob) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  ++cluster_.Of(name, 1).sequence;  // a gap
  cluster_.Finish(name, 1, {"a"});
  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_RUNNING);
}

TEST_F(JobAttemptsTest, AnAttemptWithoutHeartbeatIsKilledBeforeTheNextBegins) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  cluster_.deaf = true;
  Round(absl::Seconds(119));
  cluster_.SayHeartbeat(name, 1);
  Round(absl::Seconds(119));
  EXPECT_THAT(cluster_.Of(name, 1).stops, IsEmpty());
  Round(absl::Seconds(121));
  EXPECT_THAT(cluster_.Of(name, 1).stops, ElementsAre(true));
  EXPECT_THAT(EventsOf(name).back().log().text(), HasSubstr("no sign of life for 2m"));
  Round(absl::Minutes(10));
  Round();
  EXPECT_EQ(Get(name).attempt(), 1) << "it still lives";
  EXPECT_THAT(cluster_.Of(name, 1).stops, ElementsAre(true, true)) << "again, but not every round";
  cluster_.Die(name, 1, "killed by signal 9");
  LongRound();
  EXPECT_EQ(Get(name).attempt(), 2);
}

TEST_F(JobAttemptsTest, EventsThatCameWhileTheServerWasAwayCountAsSignsOfLife) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  manager_.reset();
  clock_.Advance(absl::Hours(5));
  cluster_.SayProgress(name, 1, 9);
  Start();
  Round();
  EXPECT_THAT(cluster_.Of(name, 1).stops, IsEmpty());
  EXPECT_EQ(Get(name).attempt(), 1);
  EXPECT_EQ(cluster_.starts(), 1) << "the worker that runs is adopted";
  EXPECT_THAT(StepsOf(name), ElementsAre(9));
}

TEST_F(JobAttemptsTest, AWorkerThatWaitsForAMachineNeedsNoHeartbeat) {
  cluster_.begins_as = WorkerState::kPending;
  const std::string name = CreateRunning(RequestFor({"a"}));
  for (int i = 0; i < 5; ++i) Round(absl::Hours(1));
  EXPECT_THAT(cluster_.Of(name, 1).stops, IsEmpty());
  cluster_.Of(name, 1).report.state = WorkerState::kRunning;
  Round(absl::Seconds(60));
  EXPECT_THAT(cluster_.Of(name, 1).stops, IsEmpty());
}

TEST_F(JobAttemptsTest, AStartThatFailedIsTriedAgainWhereThatMayHelp) {
  cluster_.start_status = absl::UnavailableError("the scheduler does not answer");
  const std::string name = CreateRunning(RequestFor({"a"}));
  LongRound();
  EXPECT_EQ(Get(name).attempt(), 2);
  EXPECT_THAT(ReasonOf(name, 2), HasSubstr("the scheduler does not answer"));
  cluster_.start_status = absl::InvalidArgumentError("no such partition");
  LongRound();
  LongRound();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(Get(name).error(), HasSubstr("no such partition"));
}

TEST_F(JobAttemptsTest, AStartThatFailedMayHaveStartedTheWorker) {
  cluster_.start_status = absl::UnavailableError("no answer");
  cluster_.starts_all_the_same = true;
  const std::string name = CreateRunning(RequestFor({"a"}));
  LongRound();
  EXPECT_EQ(Get(name).attempt(), 1);
  cluster_.Finish(name, 1, {"a"});
  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_SUCCEEDED);
}

TEST_F(JobAttemptsTest, AStartedWorkerMayTakeAWhileToBeSeen) {
  cluster_.begins_as = WorkerState::kNotStarted;
  cluster_.deaf = true;
  const std::string name = CreateRunning(RequestFor({"a"}));
  LongRound();
  Restart();
  LongRound();
  EXPECT_EQ(Get(name).attempt(), 1);
  EXPECT_THAT(cluster_.Of(name, 1).stops, IsEmpty());
  Round(absl::Minutes(2));
  EXPECT_THAT(cluster_.Of(name, 1).stops, ElementsAre(true)) << "it might come yet";
  EXPECT_EQ(Get(name).attempt(), 1);
  LongRound();
  EXPECT_EQ(Get(name).attempt(), 2);
}

TEST_F(JobAttemptsTest, AnAttemptNeverBeginsInADirectoryThatIsThere) {
  const std::string name = Create(RequestFor({"a"}));
  WriteText(DirectoryOf(name) + "/attempts/1/events.jsonl", "{\"sequence\": 1, \"finished\": {}}\n");
  Round();
  LongRound();
  EXPECT_EQ(Get(name).attempt(), 2);
  EXPECT_EQ(cluster_.Of(name, 2).starts, 1);
  EXPECT_EQ(cluster_.starts(), 1);
}

TEST_F(JobAttemptsTest, TheTaskIsWrittenAgainWhereItIsLostOrDamaged) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  const std::string task = FileText(DirectoryOf(name) + "/task.textproto");
  WriteText(DirectoryOf(name) + "/task.textproto", "half");
  cluster_.Die(name, 1, "");
  LongRound();
  ASSERT_EQ(Get(name).attempt(), 2);
  EXPECT_EQ(FileText(DirectoryOf(name) + "/task.textproto"), task);
}

TEST_F(JobAttemptsTest, AJobWhoseDirectoryCannotBeMadeFailsAndSaysWhy) {
  const std::string name = Create(RequestFor({"a"}));
  WriteText(DirectoryOf(name), "a file in its place");
  Round();
  LongRound();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(Get(name).error(), HasSubstr(DirectoryOf(name)));
}

TEST_F(JobAttemptsTest, AClustersSchedulerIsAskedSeldom) {
  settings_.launcher = LauncherKind::kSlurm;
  Restart();
  const std::string name = CreateRunning(RequestFor({"a"}));
  const int before = cluster_.polls;
  for (int i = 0; i < 50; ++i) Round();  // ten seconds
  EXPECT_GT(cluster_.polls - before, 2);
  EXPECT_LT(cluster_.polls - before, 8);
  cluster_.SayProgress(name, 1, 1);
  Round();
  EXPECT_THAT(StepsOf(name), ElementsAre(1)) << "its events are read as they come";
  cluster_.Finish(name, 1, {"a"});
  Round(absl::Seconds(2));
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_SUCCEEDED);
}

TEST_F(JobAttemptsTest, NothingIsDecidedWhileNobodyKnowsWhetherTheWorkerLives) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  cluster_.Die(name, 1, "exit status 1");
  cluster_.poll_status = absl::UnavailableError("the scheduler does not answer");
  for (int i = 0; i < 5; ++i) Round(absl::Minutes(10));
  EXPECT_EQ(Get(name).attempt(), 1);
  cluster_.poll_status = absl::OkStatus();
  LongRound();
  EXPECT_EQ(Get(name).attempt(), 2);
}

TEST_F(JobAttemptsTest, AServerThatDiesInTheMiddleOfAStartStartsTheWorkerOnce) {
  // Between the row and the launcher: the row says attempt 1, no worker is known.
  cluster_.start_status = absl::UnavailableError("as if it had never been called");
  settings_.max_attempts = 1;
  Restart();
  const std::string name = CreateRunning(RequestFor({"a"}));
  cluster_.start_status = absl::OkStatus();
  Restart();
  Round();
  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_RUNNING) << "not the worker's fault";
  EXPECT_EQ(Get(name).attempt(), 2);
  EXPECT_EQ(cluster_.starts(), 1);
}

TEST_F(JobAttemptsTest, AZombieOfAnEarlierAttemptIsNotListenedTo) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  cluster_.Die(name, 1, "killed by signal 9");
  LongRound();
  ASSERT_EQ(Get(name).attempt(), 2);
  cluster_.SayProgress(name, 1, 1000);
  cluster_.Finish(name, 1, {"a"});
  cluster_.SayProgress(name, 2, 1);
  Round();
  EXPECT_THAT(StepsOf(name), ElementsAre(1));
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_RUNNING);
  cluster_.Finish(name, 2, {"a"});
  Round();
  EXPECT_EQ(FileText(DirectoryOf(name) + "/students/a/config.json"), "{\"attempt\": 2}");
}

TEST_F(JobAttemptsTest, ARestartNeitherLosesNorRepeatsAnEvent) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  std::vector<std::int64_t> steps;
  for (int step = 1; step <= 20; ++step) {
    cluster_.SayProgress(name, 1, step);
    steps.push_back(step);
    if (step % 3 == 0) Round();
    if (step % 5 == 0) Restart();
  }
  cluster_.Finish(name, 1, {"a"});
  Restart();
  Round();
  EXPECT_EQ(StepsOf(name), steps);
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_SUCCEEDED);
}

TEST_F(JobAttemptsTest, AFinishedWorkerThatLingersIsKilled) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  cluster_.Finish(name, 1, {"a"});
  cluster_.Of(name, 1).report.state = WorkerState::kRunning;
  Round();
  Round(absl::Seconds(59));
  EXPECT_THAT(cluster_.Of(name, 1).stops, IsEmpty());
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_RUNNING) << "its files may still be in its hands";
  Round(absl::Seconds(1));
  EXPECT_THAT(cluster_.Of(name, 1).stops, ElementsAre(true));
  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_SUCCEEDED);
}

TEST_F(JobAttemptsTest, TheLatestScoreOfEachArmAndSetIsKept) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  for (const auto& [set, bleu] : std::vector<std::pair<std::string, double>>{{"x", 1}, {"y", 2}, {"x", 3}}) {
    worker::v1::WorkerEvent event;
    event.mutable_dev_score()->set_arm("a");
    event.mutable_dev_score()->set_set(set);
    event.mutable_dev_score()->set_bleu(bleu);
    cluster_.Say(name, 1, event);
  }
  Round();
  const v1::Job job = Get(name);
  ASSERT_EQ(job.dev_scores_size(), 2);
  EXPECT_EQ(job.dev_scores(0).bleu(), 3);
  EXPECT_EQ(job.dev_scores(1).bleu(), 2);
}

}  // namespace
}  // namespace petit::serving
