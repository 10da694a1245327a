#include "tests/unit/rpc/fake_jobs.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace petit::serving {

void FakeJobs::Happen(const std::string& name, int count, int bytes) {
  {
    const absl::MutexLock lock(&mutex_);
    Stored& stored = jobs_[name];
    stored.job.set_name(name);
    for (int i = 0; i < count; ++i) {
      v1::JobEvent event;
      event.set_sequence(static_cast<std::int64_t>(stored.events.size()) + 1);
      event.mutable_log()->set_text(std::string(bytes, 'x'));
      stored.events.push_back(std::move(event));
    }
  }
  WakeAll();
}

void FakeJobs::End(const std::string& name) {
  {
    const absl::MutexLock lock(&mutex_);
    jobs_[name].ended = true;
  }
  WakeAll();
}

void FakeJobs::WakeAll() {
  const absl::MutexLock lock(&wake_mutex_);
  for (const auto& [id, wake] : subscribers_) wake();
}

void FakeJobs::WaitForSubscriptions(int count) {
  const absl::MutexLock lock(&wake_mutex_);
  const auto so_many = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(wake_mutex_) {
    return static_cast<int>(subscribers_.size()) == count;
  };
  wake_mutex_.Await(absl::Condition(&so_many));
}

std::int64_t FakeJobs::events_read(const std::string& name) const {
  const absl::MutexLock lock(&mutex_);
  const absl::StatusOr<const Stored*> stored = Find(name);
  return stored.ok() ? (*stored)->events_read : 0;
}

absl::StatusOr<const FakeJobs::Stored*> FakeJobs::Find(const std::string& name) const {
  const auto found = jobs_.find(name);
  if (found == jobs_.end()) return absl::NotFoundError(absl::StrCat("there is no job '", name, "'"));
  return &found->second;
}

absl::StatusOr<v1::Job> FakeJobs::Create(const v1::CreateJobRequest& request) {
  if (request.spec().teacher() == "nobody") return absl::NotFoundError("teacher: there is no model 'nobody'");
  const absl::MutexLock lock(&mutex_);
  const std::string name = absl::StrCat("jobs/", request.request_id());
  v1::Job& job = jobs_[name].job;
  job.set_name(name);
  job.set_state(v1::JOB_STATE_QUEUED);
  *job.mutable_spec() = request.spec();
  return job;
}

absl::StatusOr<v1::Job> FakeJobs::Get(const std::string& name) const {
  const absl::MutexLock lock(&mutex_);
  const absl::StatusOr<const Stored*> stored = Find(name);
  if (!stored.ok()) return stored.status();
  return (*stored)->job;
}

absl::StatusOr<v1::ListJobsResponse> FakeJobs::List(const v1::ListJobsRequest& request) const {
  const absl::MutexLock lock(&mutex_);
  v1::ListJobsResponse response;
  for (const auto& [name, stored] : jobs_) {
    if (request.page_size() > 0 && response.jobs_size() == request.page_size()) {
      response.set_next_page_token(name);
      break;
    }
    *response.add_jobs() = stored.job;
  }
  return response;
}

absl::StatusOr<v1::Job> FakeJobs::Cancel(const std::string& name) {
  const absl::MutexLock lock(&mutex_);
  const absl::StatusOr<const Stored*> stored = Find(name);
  if (!stored.ok()) return stored.status();
  v1::Job& job = jobs_[name].job;
  if (job.state() == v1::JOB_STATE_CANCELLED) return absl::FailedPreconditionError("the job has ended");
  job.set_state(v1::JOB_STATE_CANCELLED);
  return job;
}

absl::Status FakeJobs::Delete(const std::string& name) {
  const absl::MutexLock lock(&mutex_);
  const absl::StatusOr<const Stored*> stored = Find(name);
  if (!stored.ok()) return stored.status();
  jobs_.erase(name);
  return absl::OkStatus();
}

absl::StatusOr<v1::Job> FakeJobs::PublishStudent(const v1::PublishStudentRequest& request) {
  const absl::MutexLock lock(&mutex_);
  const absl::StatusOr<const Stored*> stored = Find(request.name());
  if (!stored.ok()) return stored.status();
  if (request.publish_as().empty()) return absl::InvalidArgumentError("publish_as: is empty");
  v1::Job& job = jobs_[request.name()].job;
  v1::Student* student = job.students().empty() ? job.add_students() : job.mutable_students(0);
  student->set_arm(request.arm());
  student->set_published_as(absl::StrCat(request.publish_as(), "/1"));
  return job;
}

absl::StatusOr<JobApi::Events> FakeJobs::EventsAfter(const std::string& name, std::int64_t after_sequence,
                                                     int limit) const {
  const absl::MutexLock lock(&mutex_);
  const absl::StatusOr<const Stored*> stored = Find(name);
  if (!stored.ok()) return stored.status();
  const auto total = static_cast<std::int64_t>((*stored)->events.size());
  const std::int64_t begin = std::min(after_sequence, total);
  const std::int64_t end = std::min(begin + limit, total);
  Events chunk;
  chunk.events.assign((*stored)->events.begin() + begin, (*stored)->events.begin() + end);
  chunk.ended = (*stored)->ended && end == total;
  (*stored)->events_read += end - begin;
  return chunk;
}

int FakeJobs::Subscribe(std::function<void()> wake) {
  const absl::MutexLock lock(&wake_mutex_);
  const int id = next_subscription_++;
  subscribers_[id] = std::move(wake);
  return id;
}

void FakeJobs::Unsubscribe(int id) {
  const absl::MutexLock lock(&wake_mutex_);
  subscribers_.erase(id);
}

}  // namespace petit::serving
