// What JobService asks of whoever keeps the jobs. The server's is JobManager; tests have one in memory.
#ifndef PETIT_SERVER_JOBS_JOB_API_H_
#define PETIT_SERVER_JOBS_JOB_API_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "petit/v1/job.pb.h"

namespace petit::serving {

class JobApi {
 public:
  struct Events {
    std::vector<v1::JobEvent> events;
    bool ended = false;  // there will be no more after these
  };

  virtual ~JobApi() = default;

  // As the methods of v1.JobService. They read and write the disk: not for gRPC's own threads. What is returned by
  // Create is on the disk.
  virtual absl::StatusOr<v1::Job> Create(const v1::CreateJobRequest& request) = 0;
  virtual absl::StatusOr<v1::Job> Get(const std::string& name) const = 0;
  virtual absl::StatusOr<v1::ListJobsResponse> List(const v1::ListJobsRequest& request) const = 0;
  virtual absl::StatusOr<v1::Job> Cancel(const std::string& name) = 0;
  virtual absl::Status Delete(const std::string& name) = 0;
  // Blocks until the student is served; may take minutes.
  virtual absl::StatusOr<v1::Job> PublishStudent(const v1::PublishStudentRequest& request) = 0;

  // At most `limit` events after `after_sequence`, in order.
  virtual absl::StatusOr<Events> EventsAfter(const std::string& name, std::int64_t after_sequence, int limit) const = 0;

  // Calls `wake` from the manager's thread, under no lock, after each time that some job has new events. It must not
  // block. Returns an id for Unsubscribe, after which `wake` is called no more.
  virtual int Subscribe(std::function<void()> wake) = 0;
  virtual void Unsubscribe(int id) = 0;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_JOB_API_H_
