// What the SLURM launcher promises beyond launcher_test.cc, beside a real Slurm.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/jobs/launcher.h"
#include "server/jobs/process.h"
#include "tests/unit/jobs/launch_site.h"

namespace petit::serving {
namespace {

using ::testing::HasSubstr;

class SlurmLauncherTest : public LaunchSite {
 protected:
  void SetUp() override { SetUpFor(LauncherKind::kSlurm); }

  static std::string JobId(const Launch& launch) {
    return std::string(absl::StripAsciiWhitespace(Read(launch.attempt_directory + "/slurm_job_id")));
  }
  static CommandResult Command(const std::string& path, std::vector<std::string> arguments) {
    Program program;
    program.path = path;
    program.arguments = std::move(arguments);
    return RunCommand(program, absl::Minutes(1)).value();
  }
};

TEST_F(SlurmLauncherTest, EveryTaskOfAWorkerKnowsTheOthers) {
  Launch launch = NewLaunch({"--record"});
  launch.tasks = 2;
  launch.threads = 2;
  launch.memory_bytes = std::int64_t{300} << 20;
  ASSERT_TRUE(launcher_->Start(launch).ok());
  for (const char* task : {"0", "1"}) {
    const auto record = AwaitRecord(launch, task);
    EXPECT_EQ(record.at("env.SLURM_PROCID"), task);
    EXPECT_EQ(record.at("env.SLURM_NTASKS"), "2");
    EXPECT_EQ(record.at("env.SLURM_JOB_ID"), JobId(launch));
    EXPECT_NE(record.at("env.SLURM_STEP_NODELIST"), "");
    EXPECT_EQ(record.at("env.OMP_NUM_THREADS"), "2");
    EXPECT_EQ(record.at("env.SLURM_MEM_PER_CPU"), "150") << "300 MiB for each task, which has two threads";
  }
  EXPECT_EQ(Await(*launcher_, launch, WorkerState::kEnded).reason, "exit status 0");
}

TEST_F(SlurmLauncherTest, AWorkerThatWaitsForAMachineIsPendingAndCanBeStopped) {
  settings_.slurm_options = {"--begin=now+1hour"};
  const auto launcher = NewLauncher();
  for (const bool kill : {false, true}) {
    const Launch launch = NewLaunch();
    ASSERT_TRUE(launcher->Start(launch).ok());
    Await(*launcher, launch, WorkerState::kPending);
    ASSERT_TRUE(launcher->Stop(launch, kill).ok());
    EXPECT_EQ(Await(*launcher, launch, WorkerState::kEnded).reason, "Slurm ended it: CANCELLED");
  }
}

TEST_F(SlurmLauncherTest, SlurmDoesNotRunAnAttemptTwice) {
  const Launch launch = NewLaunch();
  ASSERT_TRUE(launcher_->Start(launch).ok());
  AwaitWorker(launch);
  EXPECT_FALSE(Command("scontrol", {"requeue", JobId(launch)}).ok());
  EXPECT_EQ(launcher_->Poll(launch)->state, WorkerState::kRunning);
  Tell(launch, "exit 0");
  EXPECT_EQ(Await(*launcher_, launch, WorkerState::kEnded).reason, "exit status 0");
}

// Runs beside a Slurm of its own: a node that failed comes back when Slurm thinks fit, in seconds or in minutes.
using SlurmFailureTest = SlurmLauncherTest;

TEST_F(SlurmFailureTest, AFailedNodeEndsTheAttempt) {
  const Launch launch = NewLaunch();
  ASSERT_TRUE(launcher_->Start(launch).ok());
  AwaitWorker(launch);
  const std::string node(absl::StripAsciiWhitespace(Command("sinfo", {"--noheader", "--format=%n"}).out));
  ASSERT_TRUE(Command("scontrol", {"update", absl::StrCat("nodename=", node), "state=down", "reason=test"}).ok());
  EXPECT_EQ(Await(*launcher_, launch, WorkerState::kEnded).reason, "Slurm ended it: NODE_FAIL");
}

TEST_F(SlurmLauncherTest, AJobWhoseNumberWasNotWrittenDownIsFoundByItsName) {
  const Launch launch = NewLaunch();
  ASSERT_TRUE(launcher_->Start(launch).ok());
  AwaitWorker(launch);
  const std::string id = JobId(launch);
  std::filesystem::remove(launch.attempt_directory + "/slurm_job_id");
  const auto successor = NewLauncher();
  Await(*successor, launch, WorkerState::kRunning);
  EXPECT_EQ(JobId(launch), id);
  EXPECT_EQ(successor->Start(launch).code(), absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(successor->Stop(launch, /*kill=*/false).ok());
  Await(*successor, launch, WorkerState::kEnded);
}

TEST_F(SlurmLauncherTest, AnotherServersJobOfThatNameIsLeftAlone) {
  const Launch theirs = NewLaunch();
  Launch ours = NewLaunch();
  ours.attempt = theirs.attempt;
  ASSERT_TRUE(launcher_->Start(theirs).ok());
  AwaitWorker(theirs);
  EXPECT_EQ(launcher_->Poll(ours)->state, WorkerState::kNotStarted);
  ASSERT_TRUE(launcher_->Stop(ours, /*kill=*/true).ok());
  EXPECT_EQ(launcher_->Poll(theirs)->state, WorkerState::kRunning);
  Tell(theirs, "exit 0");
  EXPECT_EQ(Await(*launcher_, theirs, WorkerState::kEnded).reason, "exit status 0");
}

TEST_F(SlurmLauncherTest, WhatSlurmHasForgottenHasEnded) {
  const Launch launch = NewLaunch();
  std::ofstream(launch.attempt_directory + "/slurm_job_id") << "999999\n";
  EXPECT_EQ(launcher_->Poll(launch)->state, WorkerState::kEnded);
  EXPECT_TRUE(launcher_->Stop(launch, /*kill=*/true).ok());
  const Launch unwritten = NewLaunch();
  std::ofstream(unwritten.attempt_directory + "/worker.log") << "it ran\n";
  EXPECT_EQ(launcher_->Poll(unwritten)->state, WorkerState::kEnded);
}

TEST_F(SlurmLauncherTest, OptionsOfTheConfigurationReachSbatch) {
  settings_.slurm_options = {"--comment=from the operator", "--cpus-per-task=3"};
  const auto launcher = NewLauncher();
  const Launch launch = NewLaunch({"--record"});
  ASSERT_TRUE(launcher->Start(launch).ok());
  EXPECT_EQ(AwaitRecord(launch).at("env.OMP_NUM_THREADS"), "3") << "they come last";
  EXPECT_THAT(Command("scontrol", {"show", "job", JobId(launch)}).out, HasSubstr("Comment=from the operator"));
}

TEST_F(SlurmLauncherTest, WhatSbatchRefusesIsSaid) {
  settings_.slurm_options = {"--partition=none"};
  const auto launcher = NewLauncher();
  const Launch launch = NewLaunch();
  const absl::Status status = launcher->Start(launch);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("sbatch"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("invalid partition"));
  EXPECT_EQ(launcher->Poll(launch)->state, WorkerState::kNotStarted);
}

TEST_F(SlurmLauncherTest, VariablesForUsersOfSqueueDoNotMislead) {
  setenv("SQUEUE_FORMAT", "%j", 1);
  setenv("SQUEUE_STATES", "FAILED", 1);
  setenv("SQUEUE_PARTITION", "none", 1);
  setenv("SCANCEL_STATE", "PENDING", 1);
  const Launch launch = NewLaunch();
  ASSERT_TRUE(launcher_->Start(launch).ok());
  AwaitWorker(launch);
  Await(*launcher_, launch, WorkerState::kRunning);
  EXPECT_TRUE(launcher_->Stop(launch, /*kill=*/false).ok());
  EXPECT_EQ(Await(*launcher_, launch, WorkerState::kEnded).reason, "exit status 0");
  for (const char* name : {"SQUEUE_FORMAT", "SQUEUE_STATES", "SQUEUE_PARTITION", "SCANCEL_STATE"}) unsetenv(name);
}

TEST_F(SlurmLauncherTest, ASilentControllerIsNoEndOfAWorker) {
  const Launch launch = NewLaunch(), another = NewLaunch();
  ASSERT_TRUE(launcher_->Start(launch).ok());
  AwaitWorker(launch);
  // The same Slurm, but for a port that nobody listens on.
  const std::string configuration = std::getenv("SLURM_CONF");
  const std::string deaf = launch.job_directory + "/slurm.conf";
  std::ifstream from(configuration);
  std::ofstream to(deaf);
  for (std::string line; std::getline(from, line);) {
    to << (line.starts_with("SlurmctldPort=") ? "SlurmctldPort=1" : line) << "\n";
  }
  to << "MessageTimeout=2\n";
  to.close();
  setenv("SLURM_CONF", deaf.c_str(), 1);
  EXPECT_EQ(launcher_->Poll(launch).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(launcher_->Stop(launch, /*kill=*/true).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(launcher_->Start(another).code(), absl::StatusCode::kUnavailable);
  setenv("SLURM_CONF", configuration.c_str(), 1);
  EXPECT_EQ(launcher_->Poll(launch)->state, WorkerState::kRunning);
  EXPECT_EQ(launcher_->Poll(another)->state, WorkerState::kNotStarted);
}

TEST_F(SlurmLauncherTest, WithoutSlurmsCommandsTheServerSaysSo) {
  const char* old_path = std::getenv("PATH");
  ASSERT_NE(old_path, nullptr);
  const std::string path = old_path;
  setenv("PATH", "/no/such/directory", 1);
  const absl::Status status = launcher_->Start(NewLaunch());
  setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("Slurm's client commands"));
}

}  // namespace
}  // namespace petit::serving
