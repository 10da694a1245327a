// Brings every job to its end: starts workers, reads their events, restarts, stops, publishes. What it has decided is
// in the store before anything follows from it, so that the next server goes on where this one was.
#ifndef PETIT_SERVER_JOBS_SUPERVISOR_H_
#define PETIT_SERVER_JOBS_SUPERVISOR_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/config/settings.h"
#include "server/jobs/job_manager_options.h"
#include "server/jobs/job_models.h"
#include "server/jobs/job_observer.h"
#include "server/jobs/job_store.h"
#include "server/jobs/launcher.h"
#include "server/jobs/publication.h"

namespace petit::serving {

// Wait before the try that follows the `count`th failure in a row.
absl::Duration Backoff(int count);

class JobSupervisor {
 public:
  // All must outlive the supervisor. `publish_aside`: publications have a thread of their own, since they may take
  // minutes; else RunOnce waits for them.
  JobSupervisor(const JobsSettings& settings, JobModels* models, Launcher* launcher, JobStore* store,
                const JobClock* clock, bool publish_aside);
  // Waits for a publication in progress. What it had begun, the next server ends.
  ~JobSupervisor() = default;
  JobSupervisor(const JobSupervisor&) = delete;
  JobSupervisor& operator=(const JobSupervisor&) = delete;

  // One look at every job that runs or waits. By one thread. Does not wait for workers. What fails for the server's own
  // reasons, such as a full disk, is logged and comes again at the next call.
  void RunOnce();

  // Those that the last RunOnce saw.
  const std::vector<WorkerSign>& workers() const { return workers_; }

  // What fails from now on may fail because the server ends: no reason to give a job up. Any thread.
  void Stop() { publication_.Stop(); }

 private:
  // What this server knows of a running job and need not tell the next one. Times are the clock's Uptime.
  struct Watch {
    int attempt = 0;
    bool launched = false;  // by this server
    absl::Duration heard;   // last sign of life
    absl::Duration polled = -absl::InfiniteDuration();
    std::optional<absl::Duration> leaving;  // since when it is expected to end
    absl::Duration stop_sent = -absl::InfiniteDuration();
    bool terminated = false;  // a signal was sent
    bool killed = false;      // and the last was SIGKILL
    bool unprepared = false;  // its directory could not be made, so the launcher has not heard of it
    absl::Status start_error;
    absl::Status damage;                                    // of its events
    bool lost = false;                                      // its heartbeat
    absl::Duration not_before = -absl::InfiniteDuration();  // of the next attempt or publication
    int publications = 0;
  };

  // One round's look at one RUNNING job.
  void Attend(const std::string& id);

  void BeginAttempt(const std::string& id);
  absl::Status Prepare(const JobRecord& record, const Launch& launch);
  void AttendAttempt(JobRecord record);
  // Takes over what the worker wrote; with `all`, to the end, else some of it.
  absl::Status TakeEvents(bool all, JobRecord* record, Watch* watch);
  absl::StatusOr<WorkerReport> Poll(const JobRecord& record, const Launch& launch, Watch* watch);
  // Whether the attempt is known to be over.
  bool IsOver(const WorkerReport& report, const JobRecord& record, const Watch& watch) const;
  // Asks the worker to leave, or makes it, where it should.
  void Press(const JobRecord& record, const Launch& launch, Watch* watch);
  // Decides what comes after an attempt that is over.
  void Conclude(const JobRecord& record, const WorkerReport& report, const Watch& watch);
  void ConcludeOutcome(const JobRecord& record);
  void TryAgain(const JobRecord& record, const std::string& reason, bool started);

  void AttendPublication(const JobRecord& record);

  // FAILED or CANCELLED, with whatever students there are.
  void GiveUp(const JobRecord& record, v1::JobState state, const std::string& reason);
  void End(const JobRecord& record, v1::JobState state, const std::string& reason, std::vector<v1::Student> students);

  void StartQueued();
  void RemoveOldest();

  Watch& WatchOf(const JobRecord& record);
  Launch LaunchOf(const JobRecord& record) const;
  // Logs what the server could not do for a job; once, however often it comes.
  void Complain(const std::string& job, const absl::Status& status);

  const JobsSettings& settings_;
  JobModels* const models_;
  Launcher* const launcher_;
  JobStore* const store_;
  const JobClock* const clock_;
  std::map<std::string, Watch> watches_;  // of RUNNING jobs, by id
  std::vector<WorkerSign> workers_;
  std::map<std::string, std::string> complaints_;
  Publication publication_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_SUPERVISOR_H_
