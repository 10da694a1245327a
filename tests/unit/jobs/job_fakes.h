// Everything around a job manager, in memory or in a temporary directory: a cluster whose workers do what a test says.
#ifndef PETIT_TESTS_UNIT_JOBS_JOB_FAKES_H_
#define PETIT_TESTS_UNIT_JOBS_JOB_FAKES_H_

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "petit/v1/job.pb.h"
#include "petit/worker/v1/worker.pb.h"
#include "server/jobs/job_manager.h"
#include "server/jobs/job_manager_options.h"
#include "server/jobs/job_models.h"
#include "server/jobs/launcher.h"

namespace petit::serving {

// Removed with all in it at the end.
class JobsDirectory {
 public:
  JobsDirectory();
  ~JobsDirectory();
  JobsDirectory(const JobsDirectory&) = delete;
  JobsDirectory& operator=(const JobsDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

bool PathExists(const std::string& path);
std::string FileText(const std::string& path);
void WriteText(const std::string& path, const std::string& text);  // and the directories above
// What lies in a directory, sorted.
std::vector<std::string> NamesIn(const std::string& directory);

class FakeClock final : public JobClock {
 public:
  absl::Time Now() const override { return absl::FromUnixSeconds(1700000000) + uptime_; }
  absl::Duration Uptime() const override { return uptime_; }
  void Advance(absl::Duration by) { uptime_ += by; }

 private:
  absl::Duration uptime_ = absl::Seconds(1000);
};

class FakeModels final : public JobModels {
 public:
  absl::StatusOr<ModelForJob> Find(const std::string& model) const override;
  absl::Status Serve(const std::string& model, std::int64_t version) override;

  std::map<std::string, ModelForJob> models;
  std::vector<std::pair<std::string, std::int64_t>> served;  // every call
  absl::Status serve_status;
  std::function<void()> on_find;
  std::function<void()> on_serve;

 private:
  std::mutex mutex_;  // of `served`
};

// Outlives the servers, as a machine does.
class FakeCluster {
 public:
  struct Worker {
    WorkerReport report;
    Launch launch;
    int starts = 0;
    std::vector<bool> stops;  // whether each was a kill
    std::int64_t sequence = 0;
  };

  std::unique_ptr<Launcher> MakeLauncher();

  // Of the job "jobs/ID". A worker that was never started is not there.
  Worker& Of(const std::string& job, int attempt) { return workers_[{job.substr(5), attempt}]; }
  int starts() const;
  // Those that are pending or running.
  int alive() const;

  // As the worker does: appends to its events.
  void Say(const std::string& job, int attempt, worker::v1::WorkerEvent event);
  void SayText(const std::string& job, int attempt, const std::string& text);
  void SayProgress(const std::string& job, int attempt, std::int64_t step);
  void SayHeartbeat(const std::string& job, int attempt);
  // Makes a student's directory, complete.
  void MakeStudent(const std::string& job, int attempt, const std::string& arm);
  // Students of the arms, `finished` with the first as the best, and the end.
  void Finish(const std::string& job, int attempt, const std::vector<std::string>& arms);
  void Die(const std::string& job, int attempt, const std::string& reason);

  absl::Status start_status;         // of Start; then nothing is started ...
  bool starts_all_the_same = false;  // ... but with this
  absl::Status poll_status;
  WorkerState begins_as = WorkerState::kRunning;
  int polls = 0;
  bool deaf = false;  // workers survive every signal
  std::function<void(const Launch&)> on_start;

 private:
  friend class FakeLauncher;
  std::map<std::pair<std::string, int>, Worker> workers_;
};

class RecordingObserver final : public JobObserver {
 public:
  void OnCounts(const std::vector<std::pair<v1::JobState, int>>& counts) override { all_counts.push_back(counts); }
  void OnEvent(const std::string& job, const v1::JobEvent& event) override { events.emplace_back(job, event); }
  void OnWorkers(const std::vector<WorkerSign>& now) override { workers = now; }
  void OnEnded(const std::string& job) override { ended.push_back(job); }

  std::vector<std::vector<std::pair<v1::JobState, int>>> all_counts;
  std::vector<std::pair<std::string, v1::JobEvent>> events;
  std::vector<WorkerSign> workers;  // as told last
  std::vector<std::string> ended;
};

// Resolves without looking at data or models: one arm "a" where there is none; a device as given, or "cpu".
absl::StatusOr<worker::v1::WorkerTask> FakeResolve(const v1::JobSpec& spec, const JobsSettings& settings,
                                                   const JobModels& models);

// A request for the arms with 3 training steps.
v1::CreateJobRequest RequestFor(const std::vector<std::string>& arms, const std::string& publish_as = "");

}  // namespace petit::serving

#endif  // PETIT_TESTS_UNIT_JOBS_JOB_FAKES_H_
