#include "tests/unit/client/fake_jobs.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace petit::client {
namespace {

using petit::v1::Job;
using petit::v1::JobEvent;

bool Ended(const Job& job) { return job.state() >= petit::v1::JOB_STATE_SUCCEEDED; }

void Sign(grpc::ServerContext* context) { context->AddTrailingMetadata("x-request-id", "request-8"); }

}  // namespace

FakeJobServer::FakeJobServer(int port, const std::function<void(FakeJobServer&)>& before) {
  if (before) before(*this);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port), grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) std::abort();
}

FakeJobServer::~FakeJobServer() { Stop(); }

void FakeJobServer::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  server_->Shutdown(std::chrono::system_clock::now());
}

std::string FakeJobServer::address() const { return absl::StrCat("127.0.0.1:", port_); }

void FakeJobServer::AddEvent(const std::string& name, JobEvent event) {
  {
    const std::lock_guard lock(mutex_);
    Entry& entry = jobs_[name];
    event.set_sequence(static_cast<std::int64_t>(entry.events.size()) + 1);
    if (!event.has_time()) event.mutable_time()->set_seconds(1700000000 + event.sequence());
    entry.job.set_name(name);
    entry.job.set_last_sequence(event.sequence());
    if (event.has_state_change()) {
      entry.job.set_state(event.state_change().state());
      if (event.state_change().state() == petit::v1::JOB_STATE_FAILED) {
        entry.job.set_error(event.state_change().reason());
      }
    }
    if (event.has_progress()) *entry.job.mutable_progress() = event.progress();
    entry.events.push_back(std::move(event));
  }
  changed_.notify_all();
}

void FakeJobServer::AddState(const std::string& name, petit::v1::JobState state, const std::string& reason) {
  JobEvent event;
  event.mutable_state_change()->set_state(state);
  event.mutable_state_change()->set_attempt(state == petit::v1::JOB_STATE_QUEUED ? 0 : 1);
  event.mutable_state_change()->set_reason(reason);
  AddEvent(name, std::move(event));
}

void FakeJobServer::AddLog(const std::string& name, const std::string& text) {
  JobEvent event;
  event.mutable_log()->set_level(petit::v1::LogLine::INFO);
  event.mutable_log()->set_text(text);
  AddEvent(name, std::move(event));
}

void FakeJobServer::SetJob(const Job& job) {
  const std::lock_guard lock(mutex_);
  jobs_[job.name()].job = job;
}

void FakeJobServer::BreakStreams(std::vector<int> after_events, grpc::Status status) {
  const std::lock_guard lock(mutex_);
  break_after_ = std::move(after_events);
  break_status_ = std::move(status);
}

std::vector<std::int64_t> FakeJobServer::watched_after() const {
  const std::lock_guard lock(mutex_);
  return watched_after_;
}

petit::v1::CreateJobRequest FakeJobServer::last_create() const {
  const std::lock_guard lock(mutex_);
  return last_create_;
}

petit::v1::PublishStudentRequest FakeJobServer::last_publish() const {
  const std::lock_guard lock(mutex_);
  return last_publish_;
}

int FakeJobServer::job_count() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(jobs_.size());
}

grpc::Status FakeJobServer::Find(const std::string& name, std::map<std::string, Entry>::iterator* found) {
  *found = jobs_.find(name);
  if (*found != jobs_.end()) return grpc::Status::OK;
  return {grpc::StatusCode::NOT_FOUND, absl::StrCat("there is no job '", name, "'")};
}

grpc::Status FakeJobServer::CreateJob(grpc::ServerContext* context, const petit::v1::CreateJobRequest* request,
                                      Job* response) {
  ++create_calls;
  Sign(context);
  const std::lock_guard lock(mutex_);
  last_create_ = *request;
  if (request->spec().arms().empty()) return {grpc::StatusCode::INVALID_ARGUMENT, "spec.arms is empty"};
  std::string& name = request_ids_[request->request_id()];
  if (name.empty()) {
    name = absl::StrCat("jobs/j", jobs_.size() + 1);
    Job& job = jobs_[name].job;
    job.set_name(name);
    if (job.state() == petit::v1::JOB_STATE_UNSPECIFIED) job.set_state(petit::v1::JOB_STATE_QUEUED);
    *job.mutable_spec() = request->spec();
    job.mutable_create_time()->set_seconds(1700000000);
  }
  if (lose_answers > 0) {
    --lose_answers;
    return {grpc::StatusCode::UNAVAILABLE, "the answer is lost"};
  }
  *response = jobs_[name].job;
  return grpc::Status::OK;
}

grpc::Status FakeJobServer::GetJob(grpc::ServerContext* context, const petit::v1::GetJobRequest* request,
                                   Job* response) {
  Sign(context);
  const std::lock_guard lock(mutex_);
  std::map<std::string, Entry>::iterator found;
  grpc::Status status = Find(request->name(), &found);
  if (status.ok()) *response = found->second.job;
  return status;
}

grpc::Status FakeJobServer::ListJobs(grpc::ServerContext* context, const petit::v1::ListJobsRequest* request,
                                     petit::v1::ListJobsResponse* response) {
  ++list_calls;
  Sign(context);
  const std::lock_guard lock(mutex_);
  std::size_t at = 0;
  if (!request->page_token().empty() && !absl::SimpleAtoi(request->page_token(), &at)) {
    return {grpc::StatusCode::INVALID_ARGUMENT, "page_token is none of this server's"};
  }
  const std::size_t size = request->page_size() == 0 ? 2 : request->page_size();
  std::vector<const Job*> newest_first;
  for (auto it = jobs_.rbegin(); it != jobs_.rend(); ++it) newest_first.push_back(&it->second.job);
  for (std::size_t i = at; i < std::min(at + size, newest_first.size()); ++i) *response->add_jobs() = *newest_first[i];
  if (at + size < newest_first.size()) response->set_next_page_token(absl::StrCat(at + size));
  return grpc::Status::OK;
}

grpc::Status FakeJobServer::CancelJob(grpc::ServerContext* context, const petit::v1::CancelJobRequest* request,
                                      Job* response) {
  ++cancel_calls;
  Sign(context);
  const std::lock_guard lock(mutex_);
  std::map<std::string, Entry>::iterator found;
  grpc::Status status = Find(request->name(), &found);
  if (!status.ok()) return status;
  Job& job = found->second.job;
  if (Ended(job)) return {grpc::StatusCode::FAILED_PRECONDITION, absl::StrCat(job.name(), " has ended")};
  if (job.state() == petit::v1::JOB_STATE_QUEUED) job.set_state(petit::v1::JOB_STATE_CANCELLED);
  job.set_cancelling(job.state() == petit::v1::JOB_STATE_RUNNING);
  *response = job;
  return grpc::Status::OK;
}

grpc::Status FakeJobServer::DeleteJob(grpc::ServerContext* context, const petit::v1::DeleteJobRequest* request,
                                      petit::v1::DeleteJobResponse* /*response*/) {
  Sign(context);
  const std::lock_guard lock(mutex_);
  std::map<std::string, Entry>::iterator found;
  grpc::Status status = Find(request->name(), &found);
  if (!status.ok()) return status;
  if (!Ended(found->second.job)) {
    return {grpc::StatusCode::FAILED_PRECONDITION, absl::StrCat(request->name(), " has not ended")};
  }
  jobs_.erase(found);
  return grpc::Status::OK;
}

grpc::Status FakeJobServer::PublishStudent(grpc::ServerContext* context,
                                           const petit::v1::PublishStudentRequest* request, Job* response) {
  ++publish_calls;
  Sign(context);
  const std::lock_guard lock(mutex_);
  last_publish_ = *request;
  std::map<std::string, Entry>::iterator found;
  grpc::Status status = Find(request->name(), &found);
  if (!status.ok()) return status;
  Job& job = found->second.job;
  if (!Ended(job)) return {grpc::StatusCode::FAILED_PRECONDITION, absl::StrCat(job.name(), " has not ended")};
  const std::string& model = request->publish_as();
  if (model == "nobody") return {grpc::StatusCode::NOT_FOUND, "publish_as: there is no model 'nobody'"};
  const auto student = std::find_if(job.mutable_students()->begin(), job.mutable_students()->end(), [&](auto& one) {
    return request->arm().empty() ? one.best() : one.arm() == request->arm();
  });
  if (student == job.mutable_students()->end()) {
    return {grpc::StatusCode::INVALID_ARGUMENT, absl::StrCat("arm: there is no arm '", request->arm(), "'")};
  }
  std::vector<std::string>& versions = versions_[model];
  const std::string mark = absl::StrCat(job.name(), " ", student->arm());
  auto version = std::find(versions.begin(), versions.end(), mark);
  if (version == versions.end()) version = versions.insert(version, mark);
  student->set_published_as(absl::StrCat(model, "/", version - versions.begin() + 1));
  if (lose_answers > 0) {
    --lose_answers;
    return {grpc::StatusCode::UNAVAILABLE, "the answer is lost"};
  }
  *response = job;
  return grpc::Status::OK;
}

grpc::Status FakeJobServer::WatchJob(grpc::ServerContext* context, const petit::v1::WatchJobRequest* request,
                                     grpc::ServerWriter<JobEvent>* writer) {
  Sign(context);
  std::unique_lock lock(mutex_);
  watched_after_.push_back(request->after_sequence());
  std::map<std::string, Entry>::iterator found;
  grpc::Status status = Find(request->name(), &found);
  if (!status.ok()) return status;
  int left = -1;
  if (!break_after_.empty()) {
    left = break_after_.front();
    break_after_.erase(break_after_.begin());
  }
  const Entry& entry = found->second;
  const std::int64_t start = request->after_sequence() - repeat_events.exchange(0);
  auto at = static_cast<std::size_t>(std::max<std::int64_t>(0, start));
  ++watching;
  while (true) {
    if (left == 0) return break_status_;
    if (at < entry.events.size()) {
      const JobEvent event = entry.events[at++];
      lock.unlock();
      writer->Write(event);
      lock.lock();
      --left;
      continue;
    }
    if (Ended(entry.job)) return grpc::Status::OK;
    if (stopping_) return {grpc::StatusCode::UNAVAILABLE, "the server is stopping"};
    if (context->IsCancelled()) return grpc::Status::CANCELLED;
    // gRPC's synchronous server tells of a cancelled call to nobody who does not ask.
    changed_.wait_for(lock, std::chrono::milliseconds(1));
  }
}

}  // namespace petit::client
