// What the job manager tells of its jobs, for metrics.
#ifndef PETIT_SERVER_JOBS_JOB_OBSERVER_H_
#define PETIT_SERVER_JOBS_JOB_OBSERVER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "petit/v1/job.pb.h"

namespace petit::serving {

// A worker that was started and is not known to be over.
struct WorkerSign {
  std::string job;  // "jobs/ID"
  int attempt = 0;
  // When this server last found an event or a heartbeat of it, or began to look; while it waits in a cluster's queue,
  // now.
  absl::Time heard;
};

// Called under no lock, from the manager's thread.
class JobObserver {
 public:
  virtual ~JobObserver() = default;
  // Number of stored jobs in each state.
  virtual void OnCounts(const std::vector<std::pair<v1::JobState, int>>& counts) = 0;
  virtual void OnEvent(const std::string& job, const v1::JobEvent& event) = 0;
  // All workers there are; each round.
  virtual void OnWorkers(const std::vector<WorkerSign>& workers) = 0;
  // The job runs no more.
  virtual void OnEnded(const std::string& job) = 0;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_JOB_OBSERVER_H_
