// The configuration's jobs block.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/config/config.h"

namespace petit::serving {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A directory with a checkpoint ("small"), training data ("data") and something to run ("worker").
class JobsConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "petit_jobs_config_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    base_ = std::filesystem::canonical(pattern);
    for (const char* directory : {"small", "data"}) std::filesystem::create_directories(base_ / directory);
    std::ofstream(base_ / "small" / "config.json") << "{}";
    std::ofstream(base_ / "worker") << "#!/bin/sh\n";
    std::filesystem::permissions(base_ / "worker", std::filesystem::perms::owner_all);
    std::ofstream(base_ / "file") << "x";
  }
  void TearDown() override { std::filesystem::remove_all(base_); }

  // `jobs` begins at line 2, column 1.
  absl::StatusOr<ServerSettings> Parse(absl::string_view jobs) {
    return ParseConfig(
        absl::StrCat("model { name: \"m\" checkpoint: \"small\" prompt { source: \"en\" target: \"fr\" } }\n", jobs),
        "f.textproto", base_);
  }

  // A block that is right but for `fields`, which stand in line 3.
  absl::StatusOr<ServerSettings> ParseJobs(absl::string_view fields) {
    return Parse(absl::StrCat("jobs { root: \"jobs\" data_root: \"data\" worker: \"worker\"\n", fields, " }"));
  }

  static std::vector<std::string> Errors(const absl::StatusOr<ServerSettings>& settings) {
    if (settings.ok()) return {};
    EXPECT_EQ(settings.status().code(), absl::StatusCode::kInvalidArgument) << settings.status();
    return absl::StrSplit(settings.status().message(), '\n');
  }

  std::filesystem::path base_;
};

TEST_F(JobsConfigTest, WithoutTheBlockThereAreNoJobs) {
  const auto settings = Parse("");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_FALSE(settings->jobs.has_value());
}

TEST_F(JobsConfigTest, FillsInTheDefaultsThatTheProtoPromises) {
  const auto settings = ParseJobs("");
  ASSERT_TRUE(settings.ok()) << settings.status();
  ASSERT_TRUE(settings->jobs.has_value());
  const JobsSettings& jobs = *settings->jobs;
  EXPECT_EQ(jobs.root, (base_ / "jobs").string());
  EXPECT_EQ(jobs.data_root, (base_ / "data").string());
  EXPECT_EQ(jobs.worker, (base_ / "worker").string());
  EXPECT_EQ(jobs.launcher, LauncherKind::kLocal);
  EXPECT_EQ(jobs.max_running_per_device, 1);
  EXPECT_EQ(jobs.max_queued, 64);
  EXPECT_EQ(jobs.device, "cpu");
  EXPECT_GE(jobs.threads, 1);
  EXPECT_GE(jobs.max_threads, jobs.threads);
  EXPECT_EQ(jobs.max_memory_bytes, 0);
  EXPECT_EQ(jobs.nice, 10);
  EXPECT_EQ(jobs.max_attempts, 3);
  EXPECT_EQ(jobs.heartbeat_timeout, absl::Seconds(120));
  EXPECT_EQ(jobs.stop_grace, absl::Seconds(60));
  EXPECT_EQ(jobs.max_ended, 100);
  EXPECT_EQ(jobs.max_job_series, 32);
  EXPECT_FALSE(std::filesystem::exists(jobs.root)) << "checking a configuration must create nothing";
}

TEST_F(JobsConfigTest, ReadsEveryField) {
  const auto settings = ParseJobs(R"(launcher: SLURM max_running_per_device: 2 max_queued: 3 device: "cuda:1" threads: 4
      max_threads: 5 max_memory_bytes: 6000000000 nice: 0 max_attempts: 7 heartbeat_timeout_seconds: 8.5
      stop_grace_seconds: 9 max_ended: 10 max_job_series: 11 slurm_option: "--partition=gpu" slurm_option: "--gres=gpu:1")");
  ASSERT_TRUE(settings.ok()) << settings.status();
  const JobsSettings& jobs = *settings->jobs;
  EXPECT_EQ(jobs.launcher, LauncherKind::kSlurm);
  EXPECT_EQ(jobs.max_running_per_device, 2);
  EXPECT_EQ(jobs.max_queued, 3);
  EXPECT_EQ(jobs.device, "cuda:1");
  EXPECT_EQ(jobs.threads, 4);
  EXPECT_EQ(jobs.max_threads, 5);
  EXPECT_EQ(jobs.max_memory_bytes, 6'000'000'000);
  EXPECT_EQ(jobs.nice, 0);
  EXPECT_EQ(jobs.max_attempts, 7);
  EXPECT_EQ(jobs.heartbeat_timeout, absl::Milliseconds(8500));
  EXPECT_EQ(jobs.stop_grace, absl::Seconds(9));
  EXPECT_EQ(jobs.max_ended, 10);
  EXPECT_EQ(jobs.max_job_series, 11);
  EXPECT_THAT(jobs.slurm_options, ElementsAre("--partition=gpu", "--gres=gpu:1"));
}

TEST_F(JobsConfigTest, TheDataRootHasItsSymbolicLinksFollowed) {
  std::filesystem::create_directory_symlink(base_ / "data", base_ / "link");
  const auto settings = Parse("jobs { root: \"jobs\" data_root: \"link\" worker: \"worker\" }");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->jobs->data_root, (base_ / "data").string());
}

TEST_F(JobsConfigTest, ReportsAllMistakesAtOnceWithTheirPlaces) {
  EXPECT_THAT(Errors(Parse("jobs {\n  data_root: \"no\"\n  worker: \"file\"\n  nice: -1\n  device: \"gpu\"\n}")),
              ElementsAre(AllOf(StartsWith("f.textproto:2:1: "), HasSubstr("no root")),
                          AllOf(StartsWith("f.textproto:3:3: "), HasSubstr("data_root \"" + (base_ / "no").string())),
                          AllOf(StartsWith("f.textproto:4:3: "), HasSubstr("worker \"" + (base_ / "file").string())),
                          AllOf(StartsWith("f.textproto:5:3: "), HasSubstr("nice is -1")),
                          AllOf(StartsWith("f.textproto:6:3: "), HasSubstr("device \"gpu\""))));
}

TEST_F(JobsConfigTest, AnEmptyBlockSaysWhatItNeeds) {
  EXPECT_THAT(Errors(Parse("jobs { worker: \"worker\" }")),
              ElementsAre(HasSubstr("no root"), HasSubstr("no data_root")));
}

TEST_F(JobsConfigTest, DirectoriesAreDirectories) {
  EXPECT_THAT(Errors(Parse("jobs { root: \"file\" data_root: \"data\" worker: \"worker\" }")),
              ElementsAre(AllOf(StartsWith("f.textproto:2:8: "), HasSubstr("root"), HasSubstr("not a directory"))));
  EXPECT_THAT(Errors(Parse("jobs { root: \"jobs\" data_root: \"file\" worker: \"worker\" }")),
              ElementsAre(AllOf(HasSubstr("data_root"), HasSubstr("not a directory"))));
  EXPECT_THAT(Errors(Parse("jobs { root: \"jobs\" data_root: \"/\" worker: \"worker\" }")),
              ElementsAre(HasSubstr("every file")));
}

TEST_F(JobsConfigTest, TheWorkerOfALocalLauncherCanBeRun) {
  for (const absl::string_view worker : {"gone", "file", "data"}) {
    EXPECT_THAT(Errors(Parse(absl::StrCat("jobs { root: \"jobs\" data_root: \"data\" worker: \"", worker, "\" }"))),
                ElementsAre(HasSubstr("is not a program")))
        << worker;
  }
  EXPECT_TRUE(Parse("jobs { root: \"jobs\" data_root: \"data\" worker: \"/on/the/nodes\" launcher: SLURM }").ok());
}

TEST_F(JobsConfigTest, TheDefaultWorkerLiesBesideThisProgram) {
  const auto settings = Parse("jobs { root: \"jobs\" data_root: \"data\" launcher: SLURM }");
  ASSERT_TRUE(settings.ok()) << settings.status();
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  EXPECT_EQ(settings->jobs->worker, (self.parent_path() / "petit-worker").string());
}

TEST_F(JobsConfigTest, NumbersStayInTheirRange) {
  for (const absl::string_view fields :
       {"max_running_per_device: -1", "max_queued: -1", "threads: -1", "max_threads: 2 threads: 3", "max_threads: -1",
        "max_memory_bytes: -1", "max_memory_bytes: 1000", "nice: 20", "nice: -1", "max_attempts: -1",
        "heartbeat_timeout_seconds: -1", "heartbeat_timeout_seconds: nan", "heartbeat_timeout_seconds: 0.5",
        "stop_grace_seconds: inf", "stop_grace_seconds: -1", "max_ended: -1", "max_job_series: -1", "launcher: 9",
        "device: \"cuda:x\""}) {
    EXPECT_THAT(Errors(ParseJobs(fields)), ElementsAre(AllOf(StartsWith("f.textproto:3:"), HasSubstr("; ")))) << fields;
  }
}

TEST_F(JobsConfigTest, SlurmOptionsAreLongOptionsOfTheSitesOwn) {
  for (const absl::string_view option : {"", "-p", "--", "gpu", "--wrap=rm", "--job-name=x", "--array", "--a\\nb"}) {
    EXPECT_THAT(
        Errors(ParseJobs(absl::StrCat("launcher: SLURM slurm_option: \"--qos=x\"\nslurm_option: \"", option, "\""))),
        ElementsAre(AllOf(StartsWith("f.textproto:4:1: "), HasSubstr("slurm_option"))))
        << option;
  }
  EXPECT_THAT(Errors(ParseJobs("slurm_option: \"--qos=x\"")), ElementsAre(HasSubstr("launcher: SLURM")));
}

TEST_F(JobsConfigTest, UnknownFieldsAreReportedWithTheirPlace) {
  EXPECT_THAT(Errors(ParseJobs("max_runing: 1")),
              ElementsAre(AllOf(StartsWith("f.textproto:3:"), HasSubstr("max_runing"))));
}

}  // namespace
}  // namespace petit::serving
