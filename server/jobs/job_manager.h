// Distillation jobs from the request to the served student: stores them, runs their workers, tells what they do, and
// publishes what they made. Knows no gRPC and no LibTorch.
#ifndef PETIT_SERVER_JOBS_JOB_MANAGER_H_
#define PETIT_SERVER_JOBS_JOB_MANAGER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "petit/v1/job.pb.h"
#include "server/config/settings.h"
#include "server/jobs/job_api.h"
#include "server/jobs/job_models.h"
#include "server/jobs/job_observer.h"
#include "server/jobs/launcher.h"

namespace petit::serving {

struct JobManagerOptions;

class JobManager final : public JobApi {
 public:
  // Opens the store below settings.root, adopts the workers that run, and starts the manager's thread. The other
  // arguments must outlive the manager; `observer` may be null. FAILED_PRECONDITION: another server owns the store.
  static absl::StatusOr<std::unique_ptr<JobManager>> Start(const JobsSettings& settings, JobModels* models,
                                                           std::unique_ptr<Launcher> launcher, JobObserver* observer);

  // The same with other parts for tests.
  static absl::StatusOr<std::unique_ptr<JobManager>> Start(const JobsSettings& settings, JobModels* models,
                                                           std::unique_ptr<Launcher> launcher, JobObserver* observer,
                                                           JobManagerOptions options);

  // Stops the manager's thread. Workers run on: the next server adopts them.
  ~JobManager() override;
  JobManager(const JobManager&) = delete;
  JobManager& operator=(const JobManager&) = delete;

  absl::StatusOr<v1::Job> Create(const v1::CreateJobRequest& request) override;
  absl::StatusOr<v1::Job> Get(const std::string& name) const override;
  absl::StatusOr<v1::ListJobsResponse> List(const v1::ListJobsRequest& request) const override;
  absl::StatusOr<v1::Job> Cancel(const std::string& name) override;
  absl::Status Delete(const std::string& name) override;
  absl::StatusOr<v1::Job> PublishStudent(const v1::PublishStudentRequest& request) override;
  absl::StatusOr<Events> EventsAfter(const std::string& name, std::int64_t after_sequence, int limit) const override;
  int Subscribe(std::function<void()> wake) override;
  void Unsubscribe(int id) override;

  // One round of the manager's thread, for options without threads.
  void RunOnce();

 private:
  class Impl;
  explicit JobManager(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_JOB_MANAGER_H_
