// What the launchers' tests share: directories of attempts, and a worker that does what it is told.
#ifndef PETIT_TESTS_UNIT_JOBS_LAUNCH_SITE_H_
#define PETIT_TESTS_UNIT_JOBS_LAUNCH_SITE_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "server/config/settings.h"
#include "server/jobs/launcher.h"
#include "server/jobs/process.h"

namespace petit::serving {

// In the names of tests.
inline void PrintTo(LauncherKind kind, std::ostream* out) {
  *out << (kind == LauncherKind::kSlurm ? "SLURM" : "LOCAL");
}

class LaunchSite : public ::testing::Test {
 protected:
  // SLURM skips the test where no Slurm of the test's own runs beside it.
  void SetUpFor(LauncherKind kind);
  void TearDown() override;

  // A launcher as a server that has just started makes it.
  [[nodiscard]] std::unique_ptr<Launcher> NewLauncher() const { return NewLauncher(settings_); }
  [[nodiscard]] static std::unique_ptr<Launcher> NewLauncher(const JobsSettings& settings);

  // The next attempt of a job with a name of this test's own. Its directories are there, and the worker's `control`.
  Launch NewLaunch(std::vector<std::string> arguments = {});

  // Waits until the worker listens, and writes it one line.
  void Tell(const Launch& launch, const std::string& line);
  // Waits until the worker listens.
  void AwaitWorker(const Launch& launch);
  // Polls until the worker is in that state.
  static WorkerReport Await(Launcher& launcher, const Launch& launch, WorkerState state);
  // What the worker wrote when it was told to record.
  static std::map<std::string, std::string> AwaitRecord(const Launch& launch, const std::string& task = "0");
  static void AwaitFile(const std::string& path);
  // Waits until nobody holds a lock on that file of the attempt.
  static void AwaitUnlocked(const Launch& launch, const std::string& name);
  static std::string Read(const std::string& path);

  JobsSettings settings_;
  std::unique_ptr<Launcher> launcher_;

 private:
  std::string directory_;
  std::vector<Launch> launches_;
  std::map<std::string, Descriptor> controls_;  // by attempt_directory
};

}  // namespace petit::serving

#endif  // PETIT_TESTS_UNIT_JOBS_LAUNCH_SITE_H_
