#include "server/jobs/job_manager.h"

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "server/jobs/announcer.h"
#include "server/jobs/files.h"
#include "server/jobs/job_events.h"
#include "server/jobs/job_manager_options.h"
#include "server/jobs/job_spec.h"
#include "server/jobs/job_store.h"
#include "server/jobs/student_publication.h"
#include "server/jobs/supervisor.h"
#include "spdlog/spdlog.h"

namespace petit::serving {
namespace {

constexpr std::chrono::milliseconds kRound(200);
constexpr std::size_t kMaxRequestIdBytes = 128;
constexpr int kDefaultPageSize = 50;
constexpr int kMaxPageSize = 1000;
constexpr char kNamePrefix[] = "jobs/";
constexpr char kTokenPrefix[] = "jobs before ";

class SystemClock final : public JobClock {
 public:
  absl::Time Now() const override { return absl::Now(); }
  absl::Duration Uptime() const override {
    return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  }
};

absl::StatusOr<std::string> IdOf(const std::string& name) {
  absl::string_view id = name;
  if (!absl::ConsumePrefix(&id, kNamePrefix) || id.empty() || id.find('/') != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("name: '", name, "' names no job; it should be \"jobs/ID\""));
  }
  return std::string(id);
}

std::string PageToken(std::int64_t before) { return absl::WebSafeBase64Escape(absl::StrCat(kTokenPrefix, before)); }

// The number that the page's jobs lie below.
absl::StatusOr<std::int64_t> ParsePageToken(const std::string& token) {
  if (token.empty()) return std::numeric_limits<std::int64_t>::max();
  std::string text;
  std::int64_t before = 0;
  absl::string_view rest;
  if (!absl::WebSafeBase64Unescape(token, &text) || !absl::ConsumePrefix(&(rest = text), kTokenPrefix) ||
      !absl::SimpleAtoi(rest, &before) || PageToken(before) != token) {
    return absl::InvalidArgumentError(
        "page_token: it is none of ListJobs; pass next_page_token of the page before, or nothing for the first page");
  }
  return before;
}

}  // namespace

class JobManager::Impl {
 public:
  Impl(const JobsSettings& settings, JobModels* models, std::unique_ptr<Launcher> launcher, JobObserver* observer,
       JobManagerOptions options)
      : settings_(settings),
        models_(models),
        launcher_(std::move(launcher)),
        options_(std::move(options)),
        announcer_(observer) {
    if (options_.clock == nullptr) options_.clock = &system_clock_;
  }

  ~Impl() {
    if (supervisor_.has_value()) supervisor_->Stop();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Open();
  void RunOnce();
  void Loop();
  void Hurry();

  absl::StatusOr<JobRecord> Create(const v1::CreateJobRequest& request);
  absl::StatusOr<JobRecord> Cancel(const std::string& id);
  absl::Status Delete(const std::string& id);

  JobStore& store() { return *store_; }
  StudentPublication& student_publication() { return *student_publication_; }
  Announcer& announcer() { return announcer_; }

 private:
  const JobsSettings settings_;
  JobModels* const models_;
  const std::unique_ptr<Launcher> launcher_;
  const SystemClock system_clock_;
  JobManagerOptions options_;
  Announcer announcer_;
  std::unique_ptr<JobStore> store_;
  std::optional<StudentPublication> student_publication_;
  std::optional<JobSupervisor> supervisor_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  bool hurry_ = false;
  std::thread thread_;
};

absl::Status JobManager::Impl::Open() {
  if (absl::Status status = MakeDirectories(settings_.root + "/teacher-cache"); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<JobStore>> store =
      JobStore::Open(settings_.root, [this](const JobRecord& record, const std::vector<v1::JobEvent>& events) {
        announcer_.Note(record.job.name(), HasEnded(record.job.state()), events);
      });
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  const absl::StatusOr<std::vector<std::string>> trash = store_->Trash();
  if (!trash.ok()) return trash.status();
  for (const std::string& id : *trash) {
    absl::Status status = RemoveTree(absl::StrCat(settings_.root, "/", id));
    if (status.ok()) status = store_->EmptiedTrash(id);
    if (!status.ok()) spdlog::warn("what is left of the deleted job {} stays: {}", id, status.ToString());
  }
  student_publication_.emplace(models_, store_.get());
  supervisor_.emplace(settings_, models_, launcher_.get(), store_.get(), options_.clock, options_.threads);
  if (options_.threads) thread_ = std::thread([this] { Loop(); });
  return absl::OkStatus();
}

void JobManager::Impl::RunOnce() {
  supervisor_->RunOnce();
  announcer_.Announce();
  announcer_.AnnounceWorkers(supervisor_->workers());
  if (const auto counts = store_->Counts(); counts.ok()) announcer_.AnnounceCounts(*counts);
}

void JobManager::Impl::Loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    hurry_ = false;
    lock.unlock();
    RunOnce();
    lock.lock();
    changed_.wait_for(lock, kRound, [this] { return stopping_ || hurry_; });
  }
}

void JobManager::Impl::Hurry() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    hurry_ = true;
  }
  changed_.notify_all();
}

absl::StatusOr<JobRecord> JobManager::Impl::Create(const v1::CreateJobRequest& request) {
  if (request.request_id().size() > kMaxRequestIdBytes) {
    return absl::InvalidArgumentError(absl::StrCat("request_id: it has ", request.request_id().size(),
                                                   " bytes; at most ", kMaxRequestIdBytes, " are allowed"));
  }
  // Before the spec is looked at: what it names may have changed since the first request.
  absl::StatusOr<std::optional<JobRecord>> before = store_->FindRequest(request.request_id(), request.spec());
  if (!before.ok()) return before.status();
  if (before->has_value()) return **std::move(before);
  absl::StatusOr<worker::v1::WorkerTask> task = options_.resolve(request.spec(), settings_, *models_);
  if (!task.ok()) return task.status();
  const auto complete = [&](const std::string& id) {
    task->set_job(kNamePrefix + id);
    task->set_job_directory(absl::StrCat(settings_.root, "/", id));
    task->set_cache_directory(settings_.root + "/teacher-cache");
    return *task;
  };
  absl::StatusOr<JobRecord> record =
      store_->Create(request, settings_.max_queued, ToTimestamp(options_.clock->Now()), complete);
  if (record.ok()) Hurry();
  return record;
}

absl::StatusOr<JobRecord> JobManager::Impl::Cancel(const std::string& id) {
  const absl::Time now = options_.clock->Now();
  const auto cancel = [&](JobRecord* record, std::vector<v1::JobEvent>* events) -> absl::Status {
    v1::Job& job = record->job;
    if (HasEnded(job.state())) {
      return absl::FailedPreconditionError(absl::StrCat(
          job.name(), " has ended already, as ", absl::StripPrefix(v1::JobState_Name(job.state()), "JOB_STATE_")));
    }
    if (job.cancelling()) return absl::OkStatus();
    job.set_cancelling(true);
    if (job.state() == v1::JOB_STATE_QUEUED) {
      EndJob(now, v1::JOB_STATE_CANCELLED, "", {}, record, events);
    } else {
      events->push_back(LogEvent(now, v1::LogLine::INFO, "the job is being cancelled"));
    }
    return absl::OkStatus();
  };
  absl::StatusOr<JobRecord> record = store_->Update(id, cancel);
  if (record.ok()) Hurry();
  return record;
}

absl::Status JobManager::Impl::Delete(const std::string& id) {
  if (absl::Status status = store_->Remove(id); !status.ok()) return status;
  Hurry();
  if (absl::Status status = RemoveTree(absl::StrCat(settings_.root, "/", id)); !status.ok()) return status;
  return store_->EmptiedTrash(id);
}

JobManager::JobManager(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

JobManager::~JobManager() = default;

absl::StatusOr<std::unique_ptr<JobManager>> JobManager::Start(const JobsSettings& settings, JobModels* models,
                                                              std::unique_ptr<Launcher> launcher,
                                                              JobObserver* observer) {
  return Start(settings, models, std::move(launcher), observer, JobManagerOptions{.resolve = ResolveJobSpec});
}

absl::StatusOr<std::unique_ptr<JobManager>> JobManager::Start(const JobsSettings& settings, JobModels* models,
                                                              std::unique_ptr<Launcher> launcher, JobObserver* observer,
                                                              JobManagerOptions options) {
  auto impl = std::make_unique<Impl>(settings, models, std::move(launcher), observer, std::move(options));
  if (absl::Status status = impl->Open(); !status.ok()) return status;
  return std::unique_ptr<JobManager>(new JobManager(std::move(impl)));
}

absl::StatusOr<v1::Job> JobManager::Create(const v1::CreateJobRequest& request) {
  absl::StatusOr<JobRecord> record = impl_->Create(request);
  if (!record.ok()) return record.status();
  return std::move(record->job);
}

absl::StatusOr<v1::Job> JobManager::Get(const std::string& name) const {
  const absl::StatusOr<std::string> id = IdOf(name);
  if (!id.ok()) return id.status();
  absl::StatusOr<JobRecord> record = impl_->store().Read(*id);
  if (!record.ok()) return record.status();
  return std::move(record->job);
}

absl::StatusOr<v1::ListJobsResponse> JobManager::List(const v1::ListJobsRequest& request) const {
  if (request.page_size() < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("page_size: it is ", request.page_size(), "; it should be 0 (the default) to ", kMaxPageSize));
  }
  const absl::StatusOr<std::int64_t> before = ParsePageToken(request.page_token());
  if (!before.ok()) return before.status();
  const int size = request.page_size() == 0 ? kDefaultPageSize : std::min(request.page_size(), kMaxPageSize);
  // One more tells whether there is another page.
  absl::StatusOr<std::vector<JobRecord>> records = impl_->store().Page(*before, size + 1);
  if (!records.ok()) return records.status();
  v1::ListJobsResponse response;
  if (records->size() > static_cast<std::size_t>(size)) {
    records->resize(static_cast<std::size_t>(size));
    response.set_next_page_token(PageToken(records->back().number));
  }
  for (JobRecord& record : *records) *response.add_jobs() = std::move(record.job);
  return response;
}

absl::StatusOr<v1::Job> JobManager::Cancel(const std::string& name) {
  const absl::StatusOr<std::string> id = IdOf(name);
  if (!id.ok()) return id.status();
  absl::StatusOr<JobRecord> record = impl_->Cancel(*id);
  if (!record.ok()) return record.status();
  return std::move(record->job);
}

absl::Status JobManager::Delete(const std::string& name) {
  const absl::StatusOr<std::string> id = IdOf(name);
  if (!id.ok()) return id.status();
  return impl_->Delete(*id);
}

absl::StatusOr<v1::Job> JobManager::PublishStudent(const v1::PublishStudentRequest& request) {
  const absl::StatusOr<std::string> id = IdOf(request.name());
  if (!id.ok()) return id.status();
  absl::StatusOr<JobRecord> record = impl_->student_publication().Publish(*id, request.arm(), request.publish_as());
  if (!record.ok()) return record.status();
  return std::move(record->job);
}

absl::StatusOr<JobManager::Events> JobManager::EventsAfter(const std::string& name, std::int64_t after_sequence,
                                                           int limit) const {
  const absl::StatusOr<std::string> id = IdOf(name);
  if (!id.ok()) return id.status();
  if (after_sequence < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("after_sequence: it is ", after_sequence, "; it should be 0 or an event's number"));
  }
  // Before the events: what comes between the two is then told the next time.
  const absl::StatusOr<JobRecord> record = impl_->store().Read(*id);
  if (!record.ok()) return record.status();
  absl::StatusOr<std::vector<v1::JobEvent>> events = impl_->store().Events(*id, after_sequence, std::max(limit, 1));
  if (!events.ok()) return events.status();
  Events result;
  result.events = *std::move(events);
  const std::int64_t last = result.events.empty() ? after_sequence : result.events.back().sequence();
  result.ended = HasEnded(record->job.state()) && last >= record->job.last_sequence();
  return result;
}

int JobManager::Subscribe(std::function<void()> wake) { return impl_->announcer().Subscribe(std::move(wake)); }

void JobManager::Unsubscribe(int id) { impl_->announcer().Unsubscribe(id); }

void JobManager::RunOnce() { impl_->RunOnce(); }

}  // namespace petit::serving
