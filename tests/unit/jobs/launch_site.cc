#include "tests/unit/jobs/launch_site.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

namespace petit::serving {
namespace {

namespace fs = std::filesystem;

// Polls a condition that will come true; a failure where it does not in a minute.
void AwaitTrue(const std::string& what, const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + absl::Minutes(1);
  while (!condition()) {
    ASSERT_LT(absl::Now(), deadline) << "waited in vain for " << what;
    absl::SleepFor(absl::Milliseconds(5));
  }
}

}  // namespace

void LaunchSite::SetUpFor(LauncherKind kind) {
  if (kind == LauncherKind::kSlurm && std::getenv("PETIT_TEST_SLURM") == nullptr) {
    GTEST_SKIP() << "needs a Slurm beside it: tests/e2e/slurm/with_slurm.sh THIS_PROGRAM";
  }
  // Characters that a shell, or Slurm in names of files, would take for its own.
  std::string name = absl::StrCat(::testing::TempDir(), "petit %j $HOME'XXXXXX");
  ASSERT_NE(mkdtemp(name.data()), nullptr);
  directory_ = name;
  settings_.root = directory_;
  settings_.launcher = kind;
  settings_.worker = PETIT_FAKE_WORKER;
  settings_.nice = 3;
  launcher_ = NewLauncher();
}

void LaunchSite::TearDown() {
  if (directory_.empty()) return;
  const std::unique_ptr<Launcher> launcher = NewLauncher();
  for (const Launch& launch : launches_) EXPECT_TRUE(launcher->Stop(launch, /*kill=*/true).ok());
  for (const Launch& launch : launches_) {
    AwaitTrue("the end of the workers", [&] {
      const auto report = launcher->Poll(launch);
      return report.ok() && (report->state == WorkerState::kEnded || report->state == WorkerState::kNotStarted);
    });
  }
  fs::remove_all(directory_);
}

std::unique_ptr<Launcher> LaunchSite::NewLauncher(const JobsSettings& settings) {
  return settings.launcher == LauncherKind::kSlurm ? MakeSlurmLauncher(settings) : MakeLocalLauncher(settings);
}

Launch LaunchSite::NewLaunch(std::vector<std::string> arguments) {
  Launch launch;
  launch.job_id = "a-job_1";
  launch.attempt = static_cast<int>(launches_.size()) + 1;
  launch.job_directory = absl::StrCat(directory_, "/", launch.job_id);
  launch.attempt_directory = absl::StrCat(launch.job_directory, "/attempts/", launch.attempt);
  launch.arguments = std::move(arguments);
  fs::create_directories(launch.attempt_directory);
  EXPECT_EQ(mkfifo(absl::StrCat(launch.attempt_directory, "/control").c_str(), 0600), 0);
  launches_.push_back(launch);
  return launch;
}

void LaunchSite::AwaitWorker(const Launch& launch) {
  Descriptor& control = controls_[launch.attempt_directory];
  if (control.valid()) return;
  AwaitTrue("the worker", [&] {
    control = OpenFile(absl::StrCat(launch.attempt_directory, "/control"), O_WRONLY | O_NONBLOCK);
    return control.valid();
  });
}

void LaunchSite::Tell(const Launch& launch, const std::string& line) {
  AwaitWorker(launch);
  const std::string text = absl::StrCat(line, "\n");
  ASSERT_EQ(write(controls_[launch.attempt_directory].get(), text.data(), text.size()),
            static_cast<ssize_t>(text.size()));
}

WorkerReport LaunchSite::Await(Launcher& launcher, const Launch& launch, WorkerState state) {
  WorkerReport report;
  AwaitTrue(absl::StrCat("state ", static_cast<int>(state)), [&] {
    const absl::StatusOr<WorkerReport> polled = launcher.Poll(launch);
    EXPECT_TRUE(polled.ok()) << polled.status();
    if (polled.ok()) report = *polled;
    return !polled.ok() || report.state == state;
  });
  return report;
}

std::map<std::string, std::string> LaunchSite::AwaitRecord(const Launch& launch, const std::string& task) {
  const std::string path = absl::StrCat(launch.attempt_directory, "/record.", task);
  AwaitFile(path);
  std::map<std::string, std::string> record;
  for (const absl::string_view entry : absl::StrSplit(Read(path), '\0', absl::SkipEmpty())) {
    const std::vector<std::string> parts = absl::StrSplit(entry, absl::MaxSplits('=', 1));
    record[parts[0]] = parts.size() == 2 ? parts[1] : "";
  }
  return record;
}

void LaunchSite::AwaitFile(const std::string& path) {
  AwaitTrue(path, [&] { return fs::exists(path); });
}

void LaunchSite::AwaitUnlocked(const Launch& launch, const std::string& name) {
  const Descriptor file = OpenFile(absl::StrCat(launch.attempt_directory, "/", name), O_RDONLY);
  ASSERT_TRUE(file.valid());
  AwaitTrue(absl::StrCat("the end of what holds ", name), [&] { return flock(file.get(), LOCK_EX | LOCK_NB) == 0; });
}

std::string LaunchSite::Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace petit::serving
