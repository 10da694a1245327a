// Publishes students of jobs that have ended, as clients ask for it.
#ifndef PETIT_SERVER_JOBS_STUDENT_PUBLICATION_H_
#define PETIT_SERVER_JOBS_STUDENT_PUBLICATION_H_

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "petit/v1/job.pb.h"
#include "server/jobs/job_models.h"
#include "server/jobs/job_record.h"
#include "server/jobs/job_store.h"

namespace petit::serving {

// Nothing of a call is stored before its version is served: the version's own mark (kVersionMarkFile), which appears
// with the version in one rename, is what a repeated call finds, whatever became of the call before.
class StudentPublication {
 public:
  // Both must outlive this.
  StudentPublication(JobModels* models, JobStore* store) : models_(*models), store_(*store) {}
  StudentPublication(const StudentPublication&) = delete;
  StudentPublication& operator=(const StudentPublication&) = delete;

  // JobService.PublishStudent for the job `id`. Blocks for as long as copying and loading take. From any thread; calls
  // for one job take turns.
  absl::StatusOr<JobRecord> Publish(const std::string& id, const std::string& arm, const std::string& publish_as);

 private:
  class Turn;

  // The version that the student has become, by this call or an earlier one.
  struct Placed {
    std::int64_t version = 0;
    bool now = false;
  };
  absl::StatusOr<Placed> Place(const JobRecord& record, const v1::Student& student, const ModelForJob& target);
  // After a version could not be served: takes it back, unless it is known to be good.
  void WithdrawFailed(const JobRecord& record, const v1::Student& student, const std::string& model,
                      const Placed& placed);

  JobModels& models_;
  JobStore& store_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> busy_;  // ids of the jobs whose turn somebody has
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_STUDENT_PUBLICATION_H_
