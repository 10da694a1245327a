// The jobs and their events on disk: an SQLite database in the root directory of the jobs, on a local file system (its
// write-ahead log needs shared memory).
#ifndef PETIT_SERVER_JOBS_JOB_STORE_H_
#define PETIT_SERVER_JOBS_JOB_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "petit/v1/job.pb.h"
#include "petit/worker/v1/worker.pb.h"
#include "server/jobs/job_record.h"
#include "server/jobs/sqlite.h"

namespace petit::serving {

class JobStore {
 public:
  // Changes `record` (all but number, id, task, and the job's name and spec) and appends events, whose sequence numbers
  // the store chooses. On an error nothing is changed.
  using Change = std::function<absl::Status(JobRecord* record, std::vector<v1::JobEvent>* events)>;
  // Told of every job created or changed, with its new events, in the order in which they came onto the disk. Called
  // under the store's lock.
  using Listener = std::function<void(const JobRecord& record, const std::vector<v1::JobEvent>& events)>;

  // `root` exists. FAILED_PRECONDITION: another process owns the store, or a newer server wrote it. DATA_LOSS: damaged.
  static absl::StatusOr<std::unique_ptr<JobStore>> Open(const std::string& root, Listener listener);
  ~JobStore();
  JobStore(const JobStore&) = delete;
  JobStore& operator=(const JobStore&) = delete;

  // All methods may be called from any thread. RESOURCE_EXHAUSTED, of those that write: the disk is full; nothing was
  // written. NOT_FOUND: no job has that id.

  // The job that `request_id` created, or none. ALREADY_EXISTS: it had another spec.
  absl::StatusOr<std::optional<JobRecord>> FindRequest(const std::string& request_id, const v1::JobSpec& spec) const;

  // Stores a new job in the state QUEUED; spec is the client's, of which later requests with the same id must be
  // copies. `make` completes the task for the id that the store chose. Returns the job of an earlier request as
  // FindRequest does. RESOURCE_EXHAUSTED: `max_queued` jobs wait.
  absl::StatusOr<JobRecord> Create(const v1::CreateJobRequest& request, int max_queued,
                                   const google::protobuf::Timestamp& now,
                                   const std::function<worker::v1::WorkerTask(const std::string& id)>& make);

  absl::StatusOr<JobRecord> Read(const std::string& id) const;

  // In one transaction; returns the job as it is then.
  absl::StatusOr<JobRecord> Update(const std::string& id, const Change& change);

  // Ids of the jobs in `state` with the device of each, oldest first.
  absl::StatusOr<std::vector<std::pair<std::string, std::string>>> InState(v1::JobState state) const;
  // How many jobs are in each state; every state is there.
  absl::StatusOr<std::vector<std::pair<v1::JobState, int>>> Counts() const;
  // Jobs with numbers below `before`, newest first, at most `limit`.
  absl::StatusOr<std::vector<JobRecord>> Page(std::int64_t before, int limit) const;
  // Events after `after`, in order, at most `limit`.
  absl::StatusOr<std::vector<v1::JobEvent>> Events(const std::string& id, std::int64_t after, int limit) const;

  // Forgets an ended job and its events; its files are then in Trash until EmptiedTrash. FAILED_PRECONDITION: not
  // ended.
  absl::Status Remove(const std::string& id);
  // Ended jobs but the `keep` that ended last, oldest first.
  absl::StatusOr<std::vector<std::string>> EndedBeyond(int keep) const;
  // Ids of removed jobs whose directories are to be removed.
  absl::StatusOr<std::vector<std::string>> Trash() const;
  absl::Status EmptiedTrash(const std::string& id);

 private:
  JobStore(int lock, std::unique_ptr<Database> database, Listener listener);
  absl::StatusOr<JobRecord> ReadLocked(const std::string& id) const;
  absl::StatusOr<std::optional<JobRecord>> FindRequestLocked(const std::string& request_id,
                                                             const v1::JobSpec& spec) const;

  const int lock_;  // descriptor; holds the flock
  std::unique_ptr<Database> database_;
  const Listener listener_;
  mutable std::mutex mutex_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_JOB_STORE_H_
