// The series of running jobs. Knows nothing of how jobs are run.
//
// petit_jobs{state}, petit_job_loss{job,arm,term} (terms "cross_entropy", "kl", "hidden_state" and "total", nats per
// target token but for "hidden_state"), petit_job_learning_rate{job,arm}, petit_job_step{job},
// petit_job_tokens_total{job}, petit_job_last_event_seconds{job} (Unix time), petit_job_attempt{job},
// petit_job_heartbeat_seconds{job} (Unix time; only while the job has a worker).
#ifndef PETIT_SERVER_METRICS_JOB_SERIES_H_
#define PETIT_SERVER_METRICS_JOB_SERIES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace prometheus {
class Registry;
}

namespace petit::serving {

struct ArmFigures {
  std::string arm;
  double cross_entropy = 0;
  double kl = 0;
  double hidden_state_loss = 0;
  double loss = 0;
  double learning_rate = 0;
};

struct JobFigures {
  std::int64_t step = 0;
  std::int64_t tokens = 0;
  std::vector<ArmFigures> arms;
};

// The worker of a running job.
struct WorkerFigures {
  std::string job;
  int attempt = 0;
  absl::Time heard;
};

// Thread-safe. A job has series from Start to End; beyond `max_jobs` at a time, jobs have none.
class JobSeries {
 public:
  // petit_jobs has a series for each of `states` from the start. Metrics makes one.
  JobSeries(std::shared_ptr<prometheus::Registry> registry, const std::vector<std::string>& states, int max_jobs);
  ~JobSeries();

  // States that are not named have no jobs.
  void SetCounts(const std::vector<std::pair<std::string, int>>& counts);

  // False: there is no room. Once started, a job may be started again.
  bool Start(const std::string& job);
  // What follows does nothing for a job that was not started. A count of tokens that has become lower counts on from
  // there, as after a restart.
  void SetFigures(const std::string& job, const JobFigures& figures);
  void SetLastEvent(const std::string& job, absl::Time time);
  // Jobs that are not named have no worker. Whether a job was started is all the same: its figures come later than its
  // worker after a restart of the server, and would begin at zero.
  void SetWorkers(const std::vector<WorkerFigures>& workers);
  void DropArm(const std::string& job, const std::string& arm);
  void End(const std::string& job);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_METRICS_JOB_SERIES_H_
