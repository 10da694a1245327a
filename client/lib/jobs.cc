#include "client/lib/jobs.h"

#include <grpcpp/grpcpp.h>

#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "client/lib/backoff.h"
#include "client/lib/connection.h"
#include "client/lib/status.h"
#include "petit/v1/job.grpc.pb.h"

namespace petit::client {
namespace {

using petit::v1::Job;
using petit::v1::JobEvent;
using petit::v1::JobService;

// 128 random bits, hex.
std::string NewRequestId() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) absl::StrAppend(&id, absl::Hex(random(), absl::kZeroPad8));
  return id;
}

}  // namespace

std::string JobStateName(petit::v1::JobState state) {
  if (!petit::v1::JobState_IsValid(state)) return absl::StrCat("STATE_", static_cast<int>(state));
  return std::string(absl::StripPrefix(petit::v1::JobState_Name(state), "JOB_STATE_"));
}

bool HasEnded(petit::v1::JobState state) {
  return state == petit::v1::JOB_STATE_SUCCEEDED || state == petit::v1::JOB_STATE_FAILED ||
         state == petit::v1::JOB_STATE_CANCELLED;
}

const petit::v1::Student* FindStudent(const Job& job, const std::string& arm) {
  if (arm.empty() && job.spec().arms_size() <= 1 && job.students_size() == 1) return &job.students(0);
  for (const petit::v1::Student& student : job.students()) {
    if (arm.empty() ? student.best() : student.arm() == arm) return &student;
  }
  return nullptr;
}

std::string JobName(const std::string& id) { return absl::StrCat("jobs/", absl::StripPrefix(id, "jobs/")); }

struct JobClient::Impl {
  explicit Impl(ClientOptions client_options)
      : connection(std::move(client_options)), jobs(JobService::NewStub(connection.channel())) {}

  // One call that returns a job.
  template <typename Request>
  absl::StatusOr<Job> CallForJob(grpc::Status (JobService::Stub::*method)(grpc::ClientContext*, const Request&, Job*),
                                 const Request& request, absl::Duration timeout, bool idempotent,
                                 const CallOptions& call) {
    Job response;
    absl::Status status = connection.Call(call, timeout, idempotent, [&](grpc::ClientContext* context) {
      return (jobs.get()->*method)(context, request, &response);
    });
    if (!status.ok()) return status;
    return response;
  }

  // One stream's worth of a watch. Moves `request` on to the last event seen.
  struct Streamed {
    absl::Status status;
    absl::Status sink_status;
    bool answered = false;
  };
  Streamed WatchOnce(petit::v1::WatchJobRequest& request, const JobEventSink& sink, const CallOptions& call) {
    Streamed result;
    grpc::ClientContext context;
    std::int64_t callback = 0;
    if (call.cancellation != nullptr) callback = call.cancellation->AddCallback([&] { context.TryCancel(); });
    const std::unique_ptr<grpc::ClientReader<JobEvent>> reader = jobs->WatchJob(&context, request);
    JobEvent event;
    while (reader->Read(&event)) {
      result.answered = true;
      if (!result.sink_status.ok() || event.sequence() <= request.after_sequence()) continue;
      request.set_after_sequence(event.sequence());
      result.sink_status = sink(event);
      if (!result.sink_status.ok()) context.TryCancel();
    }
    const grpc::Status status = reader->Finish();
    if (call.cancellation != nullptr) call.cancellation->RemoveCallback(callback);
    result.status = FromGrpc(status, context, connection.options().server, absl::ZeroDuration());
    result.answered = result.answered || !IsServerUnreachable(result.status);
    return result;
  }

  Connection connection;
  std::unique_ptr<JobService::Stub> jobs;
};

JobClient::JobClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
JobClient::JobClient(JobClient&&) noexcept = default;
JobClient& JobClient::operator=(JobClient&&) noexcept = default;
JobClient::~JobClient() = default;

absl::StatusOr<JobClient> JobClient::Create(ClientOptions options) {
  if (absl::Status status = Check(options); !status.ok()) return status;
  return JobClient(std::make_unique<Impl>(std::move(options)));
}

const ClientOptions& JobClient::options() const { return impl_->connection.options(); }

absl::StatusOr<Job> JobClient::CreateJob(const petit::v1::JobSpec& spec, const std::string& request_id,
                                         const CallOptions& call) const {
  petit::v1::CreateJobRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id(request_id.empty() ? NewRequestId() : request_id);
  return impl_->CallForJob(&JobService::Stub::CreateJob, request, options().model_timeout, true, call);
}

absl::StatusOr<Job> JobClient::GetJob(const std::string& name, const CallOptions& call) const {
  petit::v1::GetJobRequest request;
  request.set_name(JobName(name));
  return impl_->CallForJob(&JobService::Stub::GetJob, request, options().timeout, true, call);
}

absl::StatusOr<JobPage> JobClient::ListJobs(int page_size, const std::string& page_token,
                                            const CallOptions& call) const {
  petit::v1::ListJobsRequest request;
  request.set_page_size(page_size);
  request.set_page_token(page_token);
  petit::v1::ListJobsResponse response;
  absl::Status status = impl_->connection.Call(call, options().timeout, true, [&](grpc::ClientContext* context) {
    return impl_->jobs->ListJobs(context, request, &response);
  });
  if (!status.ok()) return status;
  JobPage page;
  page.jobs.assign(std::make_move_iterator(response.mutable_jobs()->begin()),
                   std::make_move_iterator(response.mutable_jobs()->end()));
  page.next_page_token = std::move(*response.mutable_next_page_token());
  return page;
}

absl::StatusOr<Job> JobClient::CancelJob(const std::string& name, const CallOptions& call) const {
  petit::v1::CancelJobRequest request;
  request.set_name(JobName(name));
  return impl_->CallForJob(&JobService::Stub::CancelJob, request, options().timeout, false, call);
}

absl::Status JobClient::DeleteJob(const std::string& name, const CallOptions& call) const {
  petit::v1::DeleteJobRequest request;
  request.set_name(JobName(name));
  petit::v1::DeleteJobResponse response;
  return impl_->connection.Call(call, options().timeout, false, [&](grpc::ClientContext* context) {
    return impl_->jobs->DeleteJob(context, request, &response);
  });
}

absl::StatusOr<Job> JobClient::PublishStudent(const std::string& name, const std::string& arm,
                                              const std::string& publish_as, const CallOptions& call) const {
  petit::v1::PublishStudentRequest request;
  request.set_name(JobName(name));
  request.set_arm(arm);
  request.set_publish_as(publish_as);
  return impl_->CallForJob(&JobService::Stub::PublishStudent, request, options().model_timeout, true, call);
}

absl::Status JobClient::Watch(const std::string& name, const WatchOptions& watch, const JobEventSink& sink,
                              const CallOptions& call) const {
  Connection& connection = impl_->connection;
  petit::v1::WatchJobRequest request;
  request.set_name(JobName(name));
  request.set_after_sequence(watch.after_sequence);
  const absl::Duration patience = call.timeout.value_or(options().model_timeout);
  int failures = 0;
  absl::Time give_up = absl::Now() + patience;
  const auto cancelled = [&] { return call.cancellation != nullptr && call.cancellation->cancelled(); };
  while (true) {
    if (cancelled()) return Connection::Cancelled();
    const std::int64_t seen = request.after_sequence();
    const absl::Time opened = absl::Now();
    const Impl::Streamed streamed = impl_->WatchOnce(request, sink, call);
    if (!streamed.sink_status.ok()) return streamed.sink_status;
    if (streamed.status.ok()) return absl::OkStatus();
    if (cancelled()) return Connection::Cancelled();
    if (streamed.answered) connection.was_reached().store(true, std::memory_order_relaxed);
    // A server that stops cancels what is in flight.
    const bool stopped = absl::IsCancelled(streamed.status);
    if (!stopped && !connection.MayPass(streamed.status)) return streamed.status;
    // A stream that was open for long counts as much as one that told of something.
    const bool was_open = streamed.answered && absl::Now() - opened >= options().retry.max_backoff;
    if (was_open || request.after_sequence() > seen) {
      failures = 0;
      give_up = absl::Now() + patience;
    }
    const absl::Duration wait = WaitAfter(options().retry, ++failures, streamed.status);
    if (absl::Now() + wait >= give_up) return streamed.status;
    if (watch.on_lost) watch.on_lost(streamed.status, wait);
    if (call.cancellation == nullptr) {
      absl::SleepFor(wait);
    } else if (call.cancellation->WaitFor(wait)) {
      return Connection::Cancelled();
    }
  }
}

}  // namespace petit::client
