// What the LOCAL launcher promises beyond launcher_test.cc.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <string>

#include "server/jobs/flock_holders.h"
#include "server/jobs/launcher.h"
#include "server/jobs/process.h"
#include "tests/unit/jobs/launch_site.h"

namespace petit::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LocalLauncherTest : public LaunchSite {
 protected:
  void SetUp() override { SetUpFor(LauncherKind::kLocal); }
};

// A process in a group of its own that has a file open as descriptor 3, without its lock.
class Bystander {
 public:
  explicit Bystander(const std::string& path) {
    const Descriptor file = OpenFile(path, O_RDONLY);
    Program program;
    program.path = "sleep";
    program.arguments = {"240"};
    program.descriptors = {-1, -1, -1, file.get()};
    pid_ = Spawn(program).value();
  }
  ~Bystander() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;
  [[nodiscard]] bool lives() const { return waitpid(pid_, nullptr, WNOHANG) == 0; }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

TEST_F(LocalLauncherTest, TheWorkerHasFourDescriptorsOneOfThemTheLock) {
  const Launch launch = NewLaunch({"--record"});
  ASSERT_TRUE(launcher_->Start(launch).ok());
  std::map<std::string, std::string> descriptors;
  const auto record = AwaitRecord(launch);
  for (const auto& [key, value] : record) {
    if (key.starts_with("fd.")) descriptors[key] = value;
  }
  const std::map<std::string, std::string> expected = {{"fd.0", "/dev/null"},
                                                       {"fd.1", launch.attempt_directory + "/worker.log"},
                                                       {"fd.2", launch.attempt_directory + "/worker.log"},
                                                       {"fd.3", launch.attempt_directory + "/lock"}};
  EXPECT_EQ(descriptors, expected);
  EXPECT_EQ(record.at("env.PETIT_LOCK_FD"), "3");
}

TEST_F(LocalLauncherTest, AWorkerThatEndsLeavesNoChildrenBehind) {
  const Launch launch = NewLaunch({"--fork", "--ignore-term"});
  ASSERT_TRUE(launcher_->Start(launch).ok());
  AwaitFile(launch.attempt_directory + "/child.lock");
  Tell(launch, "exit 0");
  Await(*launcher_, launch, WorkerState::kEnded);
  AwaitUnlocked(launch, "child.lock");
}

TEST_F(LocalLauncherTest, AnEndedWorkerIsReaped) {
  const Launch launch = NewLaunch({"--record"});
  ASSERT_TRUE(launcher_->Start(launch).ok());
  Await(*launcher_, launch, WorkerState::kEnded);
  EXPECT_EQ(waitpid(std::stoi(AwaitRecord(launch).at("pid")), nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(LocalLauncherTest, TheLockIsHeldByTheWorkerAloneAndAsLongAsItLives) {
  const Launch launch = NewLaunch();
  const std::string lock_path = launch.attempt_directory + "/lock";
  ASSERT_TRUE(launcher_->Start(launch).ok());
  AwaitWorker(launch);
  const Descriptor lock = OpenFile(lock_path, O_RDWR);
  EXPECT_EQ(flock(lock.get(), LOCK_EX | LOCK_NB), -1);
  EXPECT_EQ(errno, EWOULDBLOCK);
  EXPECT_THAT(FlockHolders(lock_path), SizeIs(1));
  Tell(launch, "exit 0");
  Await(*launcher_, launch, WorkerState::kEnded);
  EXPECT_EQ(flock(lock.get(), LOCK_EX | LOCK_NB), 0);
}

TEST_F(LocalLauncherTest, OnlyWhoHoldsTheLockIsSignalled) {
  const Launch launch = NewLaunch();
  ASSERT_TRUE(launcher_->Start(launch).ok());
  AwaitWorker(launch);
  const Bystander bystander(launch.attempt_directory + "/lock");
  launcher_.reset();
  const auto successor = NewLauncher();
  ASSERT_TRUE(successor->Stop(launch, /*kill=*/true).ok());
  Await(*successor, launch, WorkerState::kEnded);
  EXPECT_TRUE(bystander.lives());
  EXPECT_TRUE(successor->Stop(launch, /*kill=*/true).ok()) << "nor when the worker has ended";
  EXPECT_TRUE(bystander.lives());
}

TEST_F(LocalLauncherTest, AServerThatDiedBeforeTheWorkerStartedLeavesAnEndedAttempt) {
  const Launch launch = NewLaunch();
  ASSERT_TRUE(OpenFile(launch.attempt_directory + "/lock", O_RDWR | O_CREAT).valid());
  EXPECT_EQ(launcher_->Poll(launch)->state, WorkerState::kEnded);
  EXPECT_TRUE(launcher_->Stop(launch, /*kill=*/true).ok());
  EXPECT_EQ(launcher_->Start(launch).code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(LocalLauncherTest, AServersOwnLockIsNotTakenForAWorkerThatCanBeStopped) {
  const Launch launch = NewLaunch();
  const Descriptor lock = OpenFile(launch.attempt_directory + "/lock", O_RDWR | O_CREAT);
  ASSERT_EQ(flock(lock.get(), LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(launcher_->Poll(launch)->state, WorkerState::kRunning);
  const absl::Status status = launcher_->Stop(launch, /*kill=*/true);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("held, but by no process that can be seen from here"));
}

TEST_F(LocalLauncherTest, WhatIsNoProgramIsNotStarted) {
  const Launch launch = NewLaunch();
  settings_.worker = launch.attempt_directory;
  EXPECT_EQ(NewLauncher()->Start(launch).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(launcher_->Poll(launch)->state, WorkerState::kNotStarted);
}

TEST(FlockHoldersTest, NamesThoseThatInheritedTheLockAndNotThoseThatOnlyOpenedTheFile) {
  std::string path = ::testing::TempDir() + "petit_flock_XXXXXX";
  Descriptor file(mkstemp(path.data()));
  ASSERT_TRUE(file.valid());
  const Bystander bystander(path);
  EXPECT_THAT(FlockHolders(path), IsEmpty());
  ASSERT_EQ(flock(file.get(), LOCK_EX | LOCK_NB), 0);
  EXPECT_THAT(FlockHolders(path), IsEmpty()) << "this process does not name itself";
  Program program;
  program.path = "sleep";
  program.arguments = {"240"};
  program.descriptors = {file.get()};
  const pid_t heir = Spawn(program).value();
  file.Close();
  EXPECT_THAT(FlockHolders(path), ElementsAre(heir));
  kill(heir, SIGKILL);
  waitpid(heir, nullptr, 0);
  EXPECT_THAT(FlockHolders(path), IsEmpty());
  unlink(path.c_str());
  EXPECT_THAT(FlockHolders(path), IsEmpty()) << "no such file";
}

}  // namespace
}  // namespace petit::serving
