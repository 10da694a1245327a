// Turns what jobs do into metrics.
#ifndef PETIT_SERVER_JOB_METRICS_H_
#define PETIT_SERVER_JOB_METRICS_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/jobs/job_observer.h"
#include "server/metrics/metrics.h"

namespace petit::serving {

// The label `job` is the job's ID, without "jobs/".
class JobMetrics final : public JobObserver {
 public:
  JobMetrics(Metrics* metrics, int max_jobs);

  void OnCounts(const std::vector<std::pair<v1::JobState, int>>& counts) override;
  void OnEvent(const std::string& job, const v1::JobEvent& event) override;
  void OnWorkers(const std::vector<WorkerSign>& workers) override;
  void OnEnded(const std::string& job) override;

 private:
  std::unique_ptr<JobSeries> series_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOB_METRICS_H_
