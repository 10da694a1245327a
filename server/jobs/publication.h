// Publishes one job at a time, on a thread of its own or on the caller's.
#ifndef PETIT_SERVER_JOBS_PUBLICATION_H_
#define PETIT_SERVER_JOBS_PUBLICATION_H_

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "petit/v1/job.pb.h"
#include "server/jobs/job_models.h"
#include "server/jobs/job_record.h"
#include "server/jobs/job_store.h"

namespace petit::serving {

class Publication {
 public:
  struct Result {
    absl::Status status;  // of Publish; CANCELLED: the job was being cancelled
    std::vector<v1::Student> students;
  };

  Publication(JobModels* models, JobStore* store, bool aside) : models_(models), store_(store), aside_(aside) {}
  // Waits for the one in progress.
  ~Publication();
  Publication(const Publication&) = delete;
  Publication& operator=(const Publication&) = delete;

  // The result for this job when there is one; begins its publication where none is in progress. At once for a job that
  // publishes nothing. By one thread.
  std::optional<Result> Run(const JobRecord& record);

  bool Busy(const std::string& id) const { return id_ == id; }

  // Any thread: no result comes any more, and no publication begins.
  void Stop() { stopped_ = true; }

 private:
  Result Do(const JobRecord& record);

  JobModels* const models_;
  JobStore* const store_;
  const bool aside_;
  std::atomic<bool> stopped_ = false;

  std::string id_;  // of the job in progress; empty: none
  Result result_;   // the thread's until done_
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_PUBLICATION_H_
