// Distillation jobs from the request to the served student: stores them, runs their workers, tells what they do, and
// publishes what they made. Knows no gRPC and no LibTorch.
#ifndef PETIT_SERVER_JOBS_JOB_MANAGER_H_
#define PETIT_SERVER_JOBS_JOB_MANAGER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "petit/v1/job.pb.h"
#include "server/config/settings.h"
#include "server/jobs/job_models.h"
#include "server/jobs/launcher.h"

namespace petit::serving {

// Told of what jobs do, for metrics. Called under no lock, from the manager's thread.
class JobObserver {
 public:
  virtual ~JobObserver() = default;
  // Number of stored jobs in each state.
  virtual void OnCounts(const std::vector<std::pair<v1::JobState, int>>& counts) = 0;
  virtual void OnEvent(const std::string& job, const v1::JobEvent& event) = 0;
  // The job runs no more.
  virtual void OnEnded(const std::string& job) = 0;
};

class JobManager {
 public:
  // Opens the store below settings.root, adopts the workers that run, and starts the manager's thread. The other
  // arguments must outlive the manager; `observer` may be null. FAILED_PRECONDITION: another server owns the store.
  static absl::StatusOr<std::unique_ptr<JobManager>> Start(const JobsSettings& settings, JobModels* models,
                                                           std::unique_ptr<Launcher> launcher, JobObserver* observer);

  // Stops the manager's thread. Workers run on: the next server adopts them.
  ~JobManager();
  JobManager(const JobManager&) = delete;
  JobManager& operator=(const JobManager&) = delete;

  // As the methods of v1.JobService. They read and write the disk: not for gRPC's own threads. What is returned by
  // Create is on the disk.
  absl::StatusOr<v1::Job> Create(const v1::CreateJobRequest& request);
  absl::StatusOr<v1::Job> Get(const std::string& name) const;
  absl::StatusOr<v1::ListJobsResponse> List(const v1::ListJobsRequest& request) const;
  absl::StatusOr<v1::Job> Cancel(const std::string& name);
  absl::Status Delete(const std::string& name);

  struct Events {
    std::vector<v1::JobEvent> events;
    bool ended = false;  // there will be no more after these
  };
  // At most `limit` events after `after_sequence`, in order.
  absl::StatusOr<Events> EventsAfter(const std::string& name, std::int64_t after_sequence, int limit) const;

  // Calls `wake` from the manager's thread, under no lock, after each time that some job has new events. It must not
  // block. Returns an id for Unsubscribe, after which `wake` is called no more.
  int Subscribe(std::function<void()> wake);
  void Unsubscribe(int id);

 private:
  class Impl;
  explicit JobManager(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_JOB_MANAGER_H_
