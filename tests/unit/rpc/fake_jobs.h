// Jobs without workers: what they do, the test says.
#ifndef PETIT_TESTS_UNIT_RPC_FAKE_JOBS_H_
#define PETIT_TESTS_UNIT_RPC_FAKE_JOBS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/jobs/job_api.h"

namespace petit::serving {

// Jobs are called "jobs/ID". Create stores one named after its request id.
class FakeJobs final : public JobApi {
 public:
  // The job has `count` more events, whose log lines are of `bytes` bytes; tells the subscribers.
  void Happen(const std::string& name, int count, int bytes = 10);
  // There will be no more; tells the subscribers.
  void End(const std::string& name);

  // Waits until there are so many subscriptions.
  void WaitForSubscriptions(int count);
  // Events that EventsAfter has given of this job.
  std::int64_t events_read(const std::string& name) const;

  absl::StatusOr<v1::Job> Create(const v1::CreateJobRequest& request) override;
  absl::StatusOr<v1::Job> Get(const std::string& name) const override;
  absl::StatusOr<v1::ListJobsResponse> List(const v1::ListJobsRequest& request) const override;
  absl::StatusOr<v1::Job> Cancel(const std::string& name) override;
  absl::Status Delete(const std::string& name) override;
  // Version 1 of the model, whatever it is.
  absl::StatusOr<v1::Job> PublishStudent(const v1::PublishStudentRequest& request) override;
  absl::StatusOr<Events> EventsAfter(const std::string& name, std::int64_t after_sequence, int limit) const override;
  int Subscribe(std::function<void()> wake) override;
  // As JobManager's, waits for a wake-up that is under way.
  void Unsubscribe(int id) override;

 private:
  struct Stored {
    v1::Job job;
    std::vector<v1::JobEvent> events;
    bool ended = false;
    mutable std::int64_t events_read = 0;
  };

  absl::StatusOr<const Stored*> Find(const std::string& name) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WakeAll();

  mutable absl::Mutex mutex_;
  std::map<std::string, Stored> jobs_ ABSL_GUARDED_BY(mutex_);
  absl::Mutex wake_mutex_;  // held while subscribers are told
  std::map<int, std::function<void()>> subscribers_ ABSL_GUARDED_BY(wake_mutex_);
  int next_subscription_ ABSL_GUARDED_BY(wake_mutex_) = 1;
};

}  // namespace petit::serving

#endif  // PETIT_TESTS_UNIT_RPC_FAKE_JOBS_H_
