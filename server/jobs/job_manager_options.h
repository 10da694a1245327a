// What a test of the job manager puts in another's place.
#ifndef PETIT_SERVER_JOBS_JOB_MANAGER_OPTIONS_H_
#define PETIT_SERVER_JOBS_JOB_MANAGER_OPTIONS_H_

#include <functional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "petit/v1/job.pb.h"
#include "petit/worker/v1/worker.pb.h"
#include "server/config/settings.h"
#include "server/jobs/job_models.h"

namespace petit::serving {

class JobClock {
 public:
  virtual ~JobClock() = default;
  // For what people read.
  virtual absl::Time Now() const = 0;
  // For how long something took: never set back or forward.
  virtual absl::Duration Uptime() const = 0;
};

struct JobManagerOptions {
  // ResolveJobSpec's part.
  std::function<absl::StatusOr<worker::v1::WorkerTask>(const v1::JobSpec&, const JobsSettings&, const JobModels&)>
      resolve;
  // Null: the system's. Must outlive the manager.
  const JobClock* clock = nullptr;
  // False: no threads; the caller calls JobManager::RunOnce, which then also publishes.
  bool threads = true;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_JOB_MANAGER_OPTIONS_H_
