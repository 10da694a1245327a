#include "tests/unit/jobs/job_fakes.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"

namespace petit::serving {

namespace fs = std::filesystem;

class FakeLauncher final : public Launcher {
 public:
  explicit FakeLauncher(FakeCluster* cluster) : cluster_(*cluster) {}

  absl::Status Start(const Launch& launch) override {
    EXPECT_TRUE(fs::is_directory(launch.attempt_directory)) << launch.attempt_directory;
    if (cluster_.start_status.ok() || cluster_.starts_all_the_same) {
      FakeCluster::Worker& worker = cluster_.workers_[{launch.job_id, launch.attempt}];
      EXPECT_EQ(++worker.starts, 1) << "an attempt is started once";
      worker.launch = launch;
      worker.report.state = cluster_.begins_as;
      for (const auto& [key, other] : cluster_.workers_) {
        EXPECT_FALSE(key.first == launch.job_id && key.second != launch.attempt &&
                     (other.report.state == WorkerState::kRunning || other.report.state == WorkerState::kPending))
            << "attempt " << key.second << " still lives";
      }
      if (cluster_.on_start) cluster_.on_start(launch);
    }
    return cluster_.start_status;
  }

  absl::StatusOr<WorkerReport> Poll(const Launch& launch) override {
    ++cluster_.polls;
    if (!cluster_.poll_status.ok()) return cluster_.poll_status;
    const auto found = cluster_.workers_.find({launch.job_id, launch.attempt});
    return found == cluster_.workers_.end() ? WorkerReport() : found->second.report;
  }

  absl::Status Stop(const Launch& launch, bool kill) override {
    const auto found = cluster_.workers_.find({launch.job_id, launch.attempt});
    if (found == cluster_.workers_.end()) return absl::OkStatus();
    found->second.stops.push_back(kill);
    if (kill && !cluster_.deaf) {
      found->second.report.state = WorkerState::kEnded;
      found->second.report.reason = "killed by signal 9";
    }
    return absl::OkStatus();
  }

 private:
  FakeCluster& cluster_;
};

JobsDirectory::JobsDirectory() {
  std::string name = (fs::temp_directory_path() / "petit-jobs-XXXXXX").string();
  path_ = mkdtemp(name.data());
}

JobsDirectory::~JobsDirectory() {
  std::error_code error;
  fs::remove_all(path_, error);
}

bool PathExists(const std::string& path) { return fs::exists(fs::symlink_status(path)); }

std::string FileText(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void WriteText(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

std::vector<std::string> NamesIn(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<ModelForJob> FakeModels::Find(const std::string& model) const {
  if (on_find) on_find();
  const auto found = models.find(model);
  if (found == models.end()) return absl::NotFoundError(absl::StrCat("there is no model '", model, "'"));
  return found->second;
}

absl::Status FakeModels::Serve(const std::string& model, std::int64_t version) {
  EXPECT_TRUE(PathExists(absl::StrCat(models.at(model).versions_root, "/", version, "/config.json")));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    served.emplace_back(model, version);
  }
  if (on_serve) on_serve();
  return serve_status;
}

std::unique_ptr<Launcher> FakeCluster::MakeLauncher() { return std::make_unique<FakeLauncher>(this); }

int FakeCluster::starts() const {
  int starts = 0;
  for (const auto& [key, worker] : workers_) starts += worker.starts;
  return starts;
}

int FakeCluster::alive() const {
  int alive = 0;
  for (const auto& [key, worker] : workers_) {
    alive += worker.report.state == WorkerState::kRunning || worker.report.state == WorkerState::kPending ? 1 : 0;
  }
  return alive;
}

void FakeCluster::Say(const std::string& job, int attempt, worker::v1::WorkerEvent event) {
  event.set_sequence(++Of(job, attempt).sequence);
  std::string text;
  ASSERT_TRUE(google::protobuf::util::MessageToJsonString(event, &text).ok());
  SayText(job, attempt, text + "\n");
}

void FakeCluster::SayText(const std::string& job, int attempt, const std::string& text) {
  const std::string& directory = Of(job, attempt).launch.attempt_directory;
  ASSERT_FALSE(directory.empty()) << "attempt " << attempt << " of " << job << " was not started";
  std::ofstream(directory + "/events.jsonl", std::ios::binary | std::ios::app) << text;
}

void FakeCluster::SayProgress(const std::string& job, int attempt, std::int64_t step) {
  worker::v1::WorkerEvent event;
  event.mutable_progress()->set_step(step);
  Say(job, attempt, event);
}

void FakeCluster::SayHeartbeat(const std::string& job, int attempt) {
  worker::v1::WorkerEvent event;
  event.mutable_heartbeat();
  Say(job, attempt, event);
}

void FakeCluster::MakeStudent(const std::string& job, int attempt, const std::string& arm) {
  const std::string directory = absl::StrCat(Of(job, attempt).launch.attempt_directory, "/students/", arm);
  WriteText(directory + "/config.json", absl::StrCat("{\"attempt\": ", attempt, "}"));
  WriteText(directory + "/model.safetensors", absl::StrCat("weights of ", arm));
}

void FakeCluster::Finish(const std::string& job, int attempt, const std::vector<std::string>& arms) {
  for (const std::string& arm : arms) MakeStudent(job, attempt, arm);
  worker::v1::WorkerEvent event;
  event.mutable_finished()->set_best_arm(arms.front());
  Say(job, attempt, event);
  Die(job, attempt, "exit status 0");
}

void FakeCluster::Die(const std::string& job, int attempt, const std::string& reason) {
  Of(job, attempt).report.state = WorkerState::kEnded;
  Of(job, attempt).report.reason = reason;
}

absl::StatusOr<worker::v1::WorkerTask> FakeResolve(const v1::JobSpec& spec, const JobsSettings& settings,
                                                   const JobModels& /*models*/) {
  if (spec.teacher() == "bad") return absl::InvalidArgumentError("teacher: 'bad' is none");
  worker::v1::WorkerTask task;
  *task.mutable_spec() = spec;
  if (spec.arms_size() == 0) task.mutable_spec()->add_arms()->set_name("a");
  v1::Resources* resources = task.mutable_spec()->mutable_resources();
  if (resources->device().empty()) resources->set_device(settings.device);
  if (resources->threads() == 0) resources->set_threads(settings.threads);
  if (resources->tasks() == 0) resources->set_tasks(1);
  task.set_device(resources->device());
  task.set_threads(resources->threads());
  return task;
}

v1::CreateJobRequest RequestFor(const std::vector<std::string>& arms, const std::string& publish_as) {
  v1::CreateJobRequest request;
  for (const std::string& arm : arms) request.mutable_spec()->add_arms()->set_name(arm);
  request.mutable_spec()->mutable_training()->set_steps(3);
  request.mutable_spec()->set_publish_as(publish_as);
  return request;
}

}  // namespace petit::serving
