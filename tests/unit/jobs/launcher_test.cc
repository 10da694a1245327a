// What every launcher promises.
#include "server/jobs/launcher.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/jobs/launch_site.h"

namespace petit::serving {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::Not;
using ::testing::StartsWith;

class LauncherTest : public LaunchSite, public ::testing::WithParamInterface<LauncherKind> {
 protected:
  void SetUp() override { SetUpFor(GetParam()); }
  [[nodiscard]] static bool is_local() { return GetParam() == LauncherKind::kLocal; }
};

INSTANTIATE_TEST_SUITE_P(Local, LauncherTest, ::testing::Values(LauncherKind::kLocal));
INSTANTIATE_TEST_SUITE_P(Slurm, LauncherTest, ::testing::Values(LauncherKind::kSlurm));

TEST_P(LauncherTest, KnowsWhatWasNeverStarted) {
  const Launch launch = NewLaunch();
  EXPECT_EQ(launcher_->Poll(launch)->state, WorkerState::kNotStarted);
  EXPECT_TRUE(launcher_->Stop(launch, /*kill=*/false).ok());
  EXPECT_TRUE(launcher_->Stop(launch, /*kill=*/true).ok());
  EXPECT_EQ(launcher_->Poll(launch)->state, WorkerState::kNotStarted);
}

TEST_P(LauncherTest, TellsTheExitStatus) {
  const Launch good = NewLaunch(), bad = NewLaunch();
  for (const Launch& launch : {good, bad}) {
    ASSERT_TRUE(launcher_->Start(launch).ok());
    Await(*launcher_, launch, WorkerState::kRunning);
  }
  Tell(good, "exit 0");
  Tell(bad, "exit 7");
  EXPECT_EQ(Await(*launcher_, good, WorkerState::kEnded).reason, "exit status 0");
  const WorkerReport report = Await(*launcher_, bad, WorkerState::kEnded);
  EXPECT_EQ(report.reason, "exit status 7");
  EXPECT_FALSE(report.lost_memory);
  EXPECT_TRUE(launcher_->Stop(bad, /*kill=*/false).ok()) << "stopping what has ended is no error";
  EXPECT_TRUE(launcher_->Stop(bad, /*kill=*/true).ok());
  EXPECT_EQ(Await(*launcher_, bad, WorkerState::kEnded).reason, "exit status 7") << "and changes nothing";
}

TEST_P(LauncherTest, TellsTheSignalThatKilled) {
  const Launch launch = NewLaunch();
  ASSERT_TRUE(launcher_->Start(launch).ok());
  Tell(launch, absl::StrCat("raise ", SIGUSR1));
  EXPECT_EQ(Await(*launcher_, launch, WorkerState::kEnded).reason, absl::StrCat("killed by signal ", SIGUSR1));
}

TEST_P(LauncherTest, TermLetsTheWorkerEndAndReachesItsChildren) {
  const Launch launch = NewLaunch({"--fork"});
  ASSERT_TRUE(launcher_->Start(launch).ok());
  AwaitWorker(launch);
  AwaitFile(launch.attempt_directory + "/child.lock");
  ASSERT_TRUE(launcher_->Stop(launch, /*kill=*/false).ok());
  EXPECT_EQ(Await(*launcher_, launch, WorkerState::kEnded).reason, "exit status 0");
  AwaitFile(launch.attempt_directory + "/got-term");
  AwaitUnlocked(launch, "child.lock");
}

TEST_P(LauncherTest, KillEndsAWholeGroupThatIgnoresTerm) {
  const Launch launch = NewLaunch({"--fork", "--ignore-term"});
  ASSERT_TRUE(launcher_->Start(launch).ok());
  AwaitWorker(launch);
  AwaitFile(launch.attempt_directory + "/child.lock");
  ASSERT_TRUE(launcher_->Stop(launch, /*kill=*/false).ok());
  AwaitFile(launch.attempt_directory + "/got-term");
  EXPECT_EQ(launcher_->Poll(launch)->state, WorkerState::kRunning);
  ASSERT_TRUE(launcher_->Stop(launch, /*kill=*/true).ok());
  const WorkerReport report = Await(*launcher_, launch, WorkerState::kEnded);
  EXPECT_THAT(report.reason, AnyOf("killed by signal 9", "Slurm ended it: CANCELLED"));
  EXPECT_FALSE(report.lost_memory) << "it was killed on request";
  AwaitUnlocked(launch, "child.lock");
}

TEST_P(LauncherTest, AnAttemptIsStartedAtMostOnce) {
  const Launch launch = NewLaunch();
  ASSERT_TRUE(launcher_->Start(launch).ok());
  EXPECT_EQ(launcher_->Start(launch).code(), absl::StatusCode::kAlreadyExists) << "while it runs";
  EXPECT_EQ(NewLauncher()->Start(launch).code(), absl::StatusCode::kAlreadyExists) << "by another server";
  Tell(launch, "exit 0");
  Await(*launcher_, launch, WorkerState::kEnded);
  EXPECT_EQ(launcher_->Start(launch).code(), absl::StatusCode::kAlreadyExists) << "after it has ended";
  EXPECT_EQ(NewLauncher()->Start(launch).code(), absl::StatusCode::kAlreadyExists);
}

TEST_P(LauncherTest, ANewLauncherAdoptsARunningWorkerAndSeesItsEnd) {
  const Launch launch = NewLaunch();
  ASSERT_TRUE(launcher_->Start(launch).ok());
  AwaitWorker(launch);
  launcher_.reset();
  const auto successor = NewLauncher();
  Await(*successor, launch, WorkerState::kRunning);
  Tell(launch, "exit 3");
  const WorkerReport report = Await(*successor, launch, WorkerState::kEnded);
  EXPECT_EQ(report.reason, is_local() ? "" : "exit status 3") << "only a parent learns the status";
}

TEST_P(LauncherTest, ANewLauncherStopsTheWorkersOfAnOldOne) {
  const Launch polite = NewLaunch(), stubborn = NewLaunch({"--fork", "--ignore-term"});
  for (const Launch& launch : {polite, stubborn}) {
    ASSERT_TRUE(launcher_->Start(launch).ok());
    AwaitWorker(launch);
  }
  AwaitFile(stubborn.attempt_directory + "/child.lock");
  launcher_.reset();
  const auto successor = NewLauncher();
  ASSERT_TRUE(successor->Stop(polite, /*kill=*/false).ok());
  Await(*successor, polite, WorkerState::kEnded);
  AwaitFile(polite.attempt_directory + "/got-term");
  EXPECT_EQ(successor->Poll(stubborn)->state, WorkerState::kRunning) << "the other attempt's worker got no signal";
  ASSERT_TRUE(successor->Stop(stubborn, /*kill=*/true).ok());
  Await(*successor, stubborn, WorkerState::kEnded);
  AwaitUnlocked(stubborn, "child.lock");
}

TEST_P(LauncherTest, ArgumentsArriveUnchanged) {
  const std::vector<std::string> arguments = {"--record",    "--export=NONE", "$(touch shell)", "a b", "",
                                              "; touch x #", "'\"\\",         "two\nlines",     "é",   "%j"};
  const Launch launch = NewLaunch(arguments);
  ASSERT_TRUE(launcher_->Start(launch).ok());
  const auto record = AwaitRecord(launch);
  for (std::size_t i = 0; i < arguments.size(); ++i) EXPECT_EQ(record.at(absl::StrCat("arg.", i)), arguments[i]);
  EXPECT_THAT(record, Not(testing::Contains(Key(absl::StrCat("arg.", arguments.size())))));
  EXPECT_EQ(record.at("directory"), launch.attempt_directory);
  Await(*launcher_, launch, WorkerState::kEnded);
}

TEST_P(LauncherTest, LimitsReachTheWorker) {
  constexpr std::int64_t kMemory = std::int64_t{300} << 20;
  setenv("OMP_NUM_THREADS", "64", 1);
  Launch launch = NewLaunch();
  launch.threads = 2;
  launch.memory_bytes = kMemory;
  ASSERT_TRUE(launcher_->Start(launch).ok());
  Tell(launch, "record");
  const auto record = AwaitRecord(launch);
  unsetenv("OMP_NUM_THREADS");
  EXPECT_EQ(record.at("env.OMP_NUM_THREADS"), "2");
  if (is_local()) {
    rlimit address_space = {};
    getrlimit(RLIMIT_AS, &address_space);
    EXPECT_EQ(record.at("data"), absl::StrCat(kMemory));
    EXPECT_EQ(record.at("address_space"), absl::StrCat(address_space.rlim_cur)) << "is left alone";
    EXPECT_EQ(record.at("nice"), absl::StrCat(std::min(19, getpriority(PRIO_PROCESS, 0) + settings_.nice)));
  } else {
    EXPECT_EQ(record.at("env.SLURM_CPUS_PER_TASK"), "2");
    EXPECT_EQ(record.at("env.SLURM_MEM_PER_NODE"), "300");
  }
}

TEST_P(LauncherTest, MoreMemoryThanAllowedIsNotToBeHad) {
  Launch launch = NewLaunch();
  launch.memory_bytes = std::int64_t{100} << 20;
  ASSERT_TRUE(launcher_->Start(launch).ok());
  Tell(launch, absl::StrCat("allocate ", 10 << 20));
  Tell(launch, absl::StrCat("allocate ", 400 << 20));
  const WorkerReport report = Await(*launcher_, launch, WorkerState::kEnded);
  // A limit of its own refuses the worker's request; Slurm kills.
  EXPECT_EQ(report.reason, is_local() ? "exit status 4" : "out of memory");
  EXPECT_EQ(report.lost_memory, !is_local());
}

TEST_P(LauncherTest, TheLogTakesBothStreamsAndKeepsWhatItHas) {
  const Launch launch = NewLaunch({"--record"});
  std::ofstream(launch.attempt_directory + "/worker.log") << "before\n";
  ASSERT_TRUE(launcher_->Start(launch).ok());
  Await(*launcher_, launch, WorkerState::kEnded);
  const std::string log = Read(launch.attempt_directory + "/worker.log");
  EXPECT_THAT(log, StartsWith("before\n"));
  EXPECT_THAT(log, HasSubstr("to standard output\n"));
  EXPECT_THAT(log, HasSubstr("to standard error\n"));
}

TEST_P(LauncherTest, NothingOfTheServerIsInherited) {
  const Launch launch = NewLaunch({"--record"});
  constexpr unsigned kUsableSignals = 0x7fffffff;  // not 32 and 33, which are the C library's
  const std::string secret = launch.job_directory + "/secret";
  std::ofstream(secret) << "x";
  const Descriptor leaking(open(secret.c_str(), O_RDONLY));  // NOLINT(android-cloexec-open): the point
  signal(SIGPIPE, SIG_IGN);
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigprocmask(SIG_BLOCK, &blocked, &before);
  const absl::Status started = launcher_->Start(launch);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  signal(SIGPIPE, SIG_DFL);
  ASSERT_TRUE(started.ok()) << started;
  const auto record = AwaitRecord(launch);
  for (const auto& [key, value] : record) {
    if (key.starts_with("fd.")) {
      EXPECT_NE(value, secret);
    }
  }
  EXPECT_EQ(record.at("SigBlk"), "0000000000000000");
  EXPECT_EQ(std::stoull(record.at("SigIgn"), nullptr, 16) & kUsableSignals, 0);
  EXPECT_EQ(record.at("group_leader"), "yes");
}

TEST_P(LauncherTest, AMissingWorkerIsSaid) {
  settings_.worker = "/no/such/petit-worker";
  const auto launcher = NewLauncher();
  const Launch launch = NewLaunch();
  const absl::Status status = launcher->Start(launch);
  if (is_local()) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("\"/no/such/petit-worker\": cannot be started: No such file"));
    EXPECT_THAT(std::string(status.message()), HasSubstr("jobs.worker"));
    EXPECT_EQ(launcher->Poll(launch)->state, WorkerState::kNotStarted);
    EXPECT_EQ(NewLauncher()->Poll(launch)->state, WorkerState::kNotStarted);
    return;
  }
  ASSERT_TRUE(status.ok()) << "it may be there on the nodes alone";
  EXPECT_THAT(Await(*launcher, launch, WorkerState::kEnded).reason, HasSubstr("no worker where jobs.worker says"));
  EXPECT_THAT(Read(launch.attempt_directory + "/worker.log"), HasSubstr("/no/such/petit-worker"));
}

TEST_P(LauncherTest, AMissingDirectoryIsSaid) {
  Launch launch = NewLaunch();
  launch.attempt_directory += "/none";
  const absl::Status status = launcher_->Start(launch);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/none/"));
  EXPECT_EQ(launcher_->Poll(launch)->state, WorkerState::kNotStarted);
}

TEST_P(LauncherTest, HostileLaunchesAreRefused) {
  const Launch good = NewLaunch();
  std::vector<Launch> bad;
  const auto add = [&]() -> Launch& { return bad.emplace_back(good); };
  for (const char* id : {"", "a b", "x --export=ALL", "a\nb", "../x", "a/b", "a;b", "$(x)", "a,b", "a=b", "a%j", "é"}) {
    add().job_id = id;
  }
  add().job_id = std::string("a\0b", 3);
  add().job_id = std::string(129, 'a');
  add().attempt = 0;
  add().attempt = -1;
  add().threads = 0;
  add().tasks = 0;
  add().memory_bytes = -1;
  add().attempt_directory = "relative";
  add().attempt_directory = "";
  add().attempt_directory += "\n#SBATCH --x";
  add().job_directory = "-x";
  add().arguments = {std::string("a\0b", 3)};
  for (const Launch& launch : bad) {
    EXPECT_EQ(launcher_->Start(launch).code(), absl::StatusCode::kInvalidArgument) << launch.job_id;
    EXPECT_EQ(launcher_->Poll(launch).status().code(), absl::StatusCode::kInvalidArgument) << launch.job_id;
    EXPECT_EQ(launcher_->Stop(launch, true).code(), absl::StatusCode::kInvalidArgument) << launch.job_id;
  }
  EXPECT_EQ(launcher_->Poll(good)->state, WorkerState::kNotStarted);
}

}  // namespace
}  // namespace petit::serving
