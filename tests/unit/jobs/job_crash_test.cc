// A server that is killed at any instant, over and over, brings its jobs to the same end as one that is not.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/jobs/job_manager_options.h"
#include "server/jobs/job_store.h"
#include "tests/unit/jobs/manager_fixture.h"

namespace petit::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr int kEventsPerAttempt = 6;
constexpr int kLastAttempt = 3;  // the first that finishes

// What attempt N writes. Those before kLastAttempt die without a last event.
std::string Script(int attempt) {
  std::string text = absl::StrCat("{\"sequence\": 1, \"started\": {\"pid\": ", attempt, "}}\n");
  for (int i = 1; i <= kEventsPerAttempt; ++i) {
    const int step = attempt * kEventsPerAttempt + i;
    absl::StrAppend(&text, "{\"sequence\": ", i + 1, ", \"progress\": {\"step\": ", step, "}}\n");
  }
  if (attempt >= kLastAttempt) {
    absl::StrAppend(&text, "{\"sequence\": ", kEventsPerAttempt + 2, ", \"finished\": {\"bestArm\": \"a\"}}\n");
  } else {
    absl::StrAppend(&text, "{\"sequence\": ", kEventsPerAttempt + 2, ", \"fin");
  }
  return text;
}

// Workers that live in files alone, as a machine's workers outlive its server: each Poll lets one write a little more
// of its script, to wherever in a line that comes.
class ScriptLauncher final : public Launcher {
 public:
  absl::Status Start(const Launch& launch) override {
    const std::string mark = launch.attempt_directory + "/started";
    // Twice would be a second worker.
    if (PathExists(mark)) std::abort();
    WriteText(mark, "");
    return absl::OkStatus();
  }

  absl::StatusOr<WorkerReport> Poll(const Launch& launch) override {
    WorkerReport report;
    if (!PathExists(launch.attempt_directory + "/started")) return report;
    const std::string students = launch.attempt_directory + "/students";
    const std::string path = launch.attempt_directory + "/events.jsonl";
    const std::string script = Script(launch.attempt);
    std::error_code error;
    std::uintmax_t size = std::filesystem::file_size(path, error);
    if (error) size = 0;
    report.state = size >= script.size() ? WorkerState::kEnded : WorkerState::kRunning;
    if (report.state == WorkerState::kEnded) return report;
    if (launch.attempt >= kLastAttempt && !PathExists(launch.attempt_directory + "/made")) {
      WriteText(students + ".tmp/a/config.json", "{}");
      WriteText(students + ".tmp/a/weights", "weights");
      std::filesystem::remove_all(students);
      std::filesystem::rename(students + ".tmp", students);
      WriteText(launch.attempt_directory + "/made", "");
    }
    std::ofstream(path, std::ios::binary | std::ios::app) << script.substr(size, 1 + random_() % 150);
    return report;
  }

  absl::Status Stop(const Launch& /*launch*/, bool /*kill*/) override { return absl::OkStatus(); }

 private:
  std::minstd_rand random_{static_cast<unsigned>(getpid())};
};

// Time runs with the rounds, so that nothing is waited for.
class RoundClock final : public JobClock {
 public:
  absl::Time Now() const override { return absl::FromUnixSeconds(1700000000) + Uptime(); }
  absl::Duration Uptime() const override { return absl::Seconds(now_ += 5); }

 private:
  mutable int now_ = 0;
};

class JobCrashTest : public ManagerTest {
 protected:
  void SetUp() override {
    settings_.heartbeat_timeout = absl::Hours(1000);
    settings_.max_running_per_device = 2;
  }

  std::unique_ptr<JobManager> StartScripted() {
    JobManagerOptions options = Options();
    options.clock = &round_clock_;
    auto manager = JobManager::Start(settings_, &models_, std::make_unique<ScriptLauncher>(), nullptr, options);
    return manager.ok() ? *std::move(manager) : nullptr;
  }

  // A server's life: creates the jobs that are not there yet and goes on until all have ended.
  [[noreturn]] void Serve(int jobs) {
    std::unique_ptr<JobManager> manager = StartScripted();
    if (manager == nullptr) _exit(2);
    for (int i = 0; i < jobs; ++i) {
      v1::CreateJobRequest request = RequestFor({"a"}, i % 2 == 0 ? "student" : "");
      request.set_request_id(absl::StrCat("r", i));
      if (!manager->Create(request).ok()) _exit(3);
    }
    while (true) {
      manager->RunOnce();
      const auto list = manager->List({});
      if (!list.ok()) _exit(4);
      const bool ended = std::all_of(list->jobs().begin(), list->jobs().end(), [](const v1::Job& job) {
        return job.state() == v1::JOB_STATE_SUCCEEDED || job.state() == v1::JOB_STATE_FAILED;
      });
      if (ended) _exit(0);
    }
  }

  RoundClock round_clock_;
};

TEST_F(JobCrashTest, KilledAtRandomInstantsItLosesNothingAndRepeatsNothing) {
  constexpr int kJobs = 4;
  std::minstd_rand random(20240607);
  int kills = 0;
  bool ended = false;
  // Lives grow longer, so that the last one ends.
  for (int life = 0; !ended && life < 400; ++life) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) Serve(kJobs);
    usleep(static_cast<useconds_t>(random() % (4000 + 400 * life)));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << "exit status " << WEXITSTATUS(status);
    ASSERT_FALSE(WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) << "signal " << WTERMSIG(status);
    ended = WIFEXITED(status);
    kills += ended ? 0 : 1;
  }
  ASSERT_TRUE(ended);
  RecordProperty("kills", kills);

  manager_ = StartScripted();
  ASSERT_NE(manager_, nullptr);
  const auto list = manager_->List({});
  ASSERT_EQ(list->jobs_size(), kJobs);
  int published = 0;
  for (const v1::Job& job : list->jobs()) {
    SCOPED_TRACE(absl::StrCat(job.name(), " after ", kills, " kills"));
    EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED) << job.error();
    std::vector<std::int64_t> expected;
    for (int attempt = 1; attempt <= job.attempt(); ++attempt) {
      // A server that died before it started the attempt leaves a gap in the attempts, not in the events.
      if (!PathExists(absl::StrCat(DirectoryOf(job.name()), "/attempts/", attempt, "/started"))) continue;
      for (int i = 1; i <= kEventsPerAttempt; ++i) expected.push_back(attempt * kEventsPerAttempt + i);
    }
    EXPECT_EQ(StepsOf(job.name()), expected);
    EXPECT_EQ(EventsOf(job.name()).back().state_change().state(), v1::JOB_STATE_SUCCEEDED);
    ASSERT_EQ(job.students_size(), 1);
    EXPECT_EQ(FileText(job.students(0).checkpoint() + "/weights"), "weights");
    if (job.spec().publish_as().empty()) continue;
    ++published;
    const std::vector<std::string> parts = absl::StrSplit(job.students(0).published_as(), '/');
    ASSERT_THAT(parts, SizeIs(2));
    const std::string version = absl::StrCat(versions_root(), "/", parts[1]);
    EXPECT_EQ(FileText(version + "/weights"), "weights");
    EXPECT_EQ(FileText(version + "/petit_job.json"), absl::StrCat("{\"arm\":\"a\",\"job\":\"", job.name(), "\"}\n"));
  }
  EXPECT_THAT(NamesIn(versions_root()), SizeIs(published))
      << "each once, and nothing half: " << absl::StrJoin(NamesIn(versions_root()), " ");
}

TEST_F(JobCrashTest, AJobThatWasDeletedStaysDeletedThoughTheServerDied) {
  manager_ = StartScripted();
  const std::string name = Create(RequestFor({"a"}));
  while (Get(name).state() != v1::JOB_STATE_SUCCEEDED) manager_->RunOnce();
  manager_.reset();
  {
    // The row is gone, the files are not: where a server may die.
    const auto store = JobStore::Open(settings_.root, [](const JobRecord&, const std::vector<v1::JobEvent>&) {});
    ASSERT_TRUE((*store)->Remove(name.substr(5)).ok());
  }
  ASSERT_TRUE(PathExists(DirectoryOf(name)));
  manager_ = StartScripted();
  EXPECT_FALSE(PathExists(DirectoryOf(name)));
  EXPECT_THAT(NamesIn(settings_.root), ElementsAre("store.lock", "store.sqlite", "store.sqlite-wal", "teacher-cache"));
}

}  // namespace
}  // namespace petit::serving
