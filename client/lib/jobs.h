// The C++ client of a Petit server's distillation jobs:
//
//   absl::StatusOr<petit::client::JobClient> jobs = petit::client::JobClient::Create({.server = "127.0.0.1:50051"});
//   absl::StatusOr<petit::v1::Job> job = jobs->CreateJob(spec);
//   absl::Status watched = jobs->Watch(job->name(), {}, [](const petit::v1::JobEvent& event) {
//     std::cout << event.ShortDebugString() << "\n";
//     return absl::OkStatus();
//   });
//
// Specs, jobs and events are the wire's own messages (petit/v1/job.proto), which say what each field means: a spec is a
// document that people write, keep and send on, so a second set of some sixty fields would only be one to keep in step.
// Errors are as those of client.h.
#ifndef PETIT_CLIENT_LIB_JOBS_H_
#define PETIT_CLIENT_LIB_JOBS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/lib/client.h"
#include "petit/v1/job.pb.h"

namespace petit::client {

struct JobPage {
  std::vector<petit::v1::Job> jobs = {};  // newest first
  std::string next_page_token = {};       // empty: the last page
};

struct WatchOptions {
  std::int64_t after_sequence = 0;  // 0: from the first event on
  // Called where the connection was lost and will be tried again after `wait`. May be empty.
  std::function<void(const absl::Status& why, absl::Duration wait)> on_lost = nullptr;
};

// An error from here ends the watch and is what Watch returns.
using JobEventSink = std::function<absl::Status(const petit::v1::JobEvent& event)>;

// "RUNNING", as the protocol spells it without its prefix.
std::string JobStateName(petit::v1::JobState state);
// SUCCEEDED, FAILED or CANCELLED.
[[nodiscard]] bool HasEnded(petit::v1::JobState state);
// The student of `arm`; of an empty arm the best, or the only one. Null where there is none.
[[nodiscard]] const petit::v1::Student* FindStudent(const petit::v1::Job& job, const std::string& arm = "");
// "jobs/ID" of an ID with or without "jobs/".
std::string JobName(const std::string& id);

// A connection to one server, made by the first call. Thread-safe; cheap to move, not to be copied. Jobs are named "ID"
// or "jobs/ID".
class JobClient {
 public:
  // INVALID_ARGUMENT: options that cannot be meant. Does not connect.
  [[nodiscard]] static absl::StatusOr<JobClient> Create(ClientOptions options);
  JobClient(JobClient&&) noexcept;
  JobClient& operator=(JobClient&&) noexcept;
  ~JobClient();

  // The server checks the spec's data and checkpoints first, within model_timeout. Repeated as calls that change
  // nothing are: a `request_id` of its own, where none is given, keeps a repeated call from making a second job.
  [[nodiscard]] absl::StatusOr<petit::v1::Job> CreateJob(const petit::v1::JobSpec& spec,
                                                         const std::string& request_id = "",
                                                         const CallOptions& call = {}) const;
  [[nodiscard]] absl::StatusOr<petit::v1::Job> GetJob(const std::string& name, const CallOptions& call = {}) const;
  // `page_size` 0: the server's. An empty token: the first page.
  [[nodiscard]] absl::StatusOr<JobPage> ListJobs(int page_size = 0, const std::string& page_token = "",
                                                 const CallOptions& call = {}) const;
  // The next two are for the caller to repeat: a second one would find the job changed by the first.
  [[nodiscard]] absl::StatusOr<petit::v1::Job> CancelJob(const std::string& name, const CallOptions& call = {}) const;
  [[nodiscard]] absl::Status DeleteJob(const std::string& name, const CallOptions& call = {}) const;

  // Makes the student of `arm` (empty: the best) that an ended job has kept the next version of the model `publish_as`,
  // and serves it; where it is one already, serves that one. Within model_timeout; repeated as calls that change
  // nothing are. FindStudent(job, arm)->published_as() of the result is "MODEL/VERSION".
  [[nodiscard]] absl::StatusOr<petit::v1::Job> PublishStudent(const std::string& name, const std::string& arm,
                                                              const std::string& publish_as,
                                                              const CallOptions& call = {}) const;

  // Gives `sink`, on the calling thread, each event once and in order: first those that have happened, then the others
  // as they happen. OK once the job has ended. A lost connection is made again, with the retry policy's backoff, and
  // the watch goes on after the last event seen; the call's timeout (model_timeout unless given) bounds the time
  // without a connection, not the watch. Slow sinks slow the server's sending down.
  [[nodiscard]] absl::Status Watch(const std::string& name, const WatchOptions& watch, const JobEventSink& sink,
                                   const CallOptions& call = {}) const;

  [[nodiscard]] const ClientOptions& options() const;

 private:
  struct Impl;
  explicit JobClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace petit::client

#endif  // PETIT_CLIENT_LIB_JOBS_H_
