#include "server/jobs/job_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <random>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/util/message_differencer.h"
#include "server/jobs/job_rows.h"

namespace petit::serving {
namespace {

constexpr char kIdLetters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
constexpr int kIdLength = 12;  // 62 bits

std::string RandomId() {
  std::random_device device;
  std::uniform_int_distribution<std::size_t> letter(0, sizeof(kIdLetters) - 2);
  std::string id;
  for (int i = 0; i < kIdLength; ++i) id += kIdLetters[letter(device)];
  return id;
}

absl::Status NoSuchJob(const std::string& id) {
  return absl::NotFoundError(absl::StrCat("there is no job jobs/", id, "; ListJobs lists those there are"));
}

absl::StatusOr<std::vector<JobRecord>> DecodeAll(Query* query) {
  std::vector<JobRecord> records;
  while (true) {
    const absl::StatusOr<bool> row = query->Next();
    if (!row.ok()) return row.status();
    if (!*row) return records;
    absl::StatusOr<JobRecord> record = DecodeJob(*query);
    if (!record.ok()) return record.status();
    records.push_back(*std::move(record));
  }
}

absl::StatusOr<std::vector<std::string>> Column(Query* query) {
  std::vector<std::string> values;
  while (true) {
    const absl::StatusOr<bool> row = query->Next();
    if (!row.ok()) return row.status();
    if (!*row) return values;
    values.push_back(query->BytesAt(0));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<JobStore>> JobStore::Open(const std::string& root, Listener listener) {
  const std::string lock_path = absl::StrCat(root, "/store.lock");
  const int lock = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", lock_path));
  absl::Cleanup closer = [lock] { close(lock); };
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return absl::ErrnoToStatus(errno, absl::StrCat("cannot lock ", lock_path));
    return absl::FailedPreconditionError(
        absl::StrCat("another server runs the jobs in ", root, "; stop it, or give this one another jobs.root"));
  }
  const std::string path = absl::StrCat(root, "/store.sqlite");
  absl::StatusOr<std::unique_ptr<Database>> database = Database::Open(path);
  if (!database.ok()) return database.status();
  if (absl::Status status = PrepareSchema(database->get(), path); !status.ok()) return status;
  std::move(closer).Cancel();
  return std::unique_ptr<JobStore>(new JobStore(lock, *std::move(database), std::move(listener)));
}

JobStore::JobStore(int lock, std::unique_ptr<Database> database, Listener listener)
    : lock_(lock), database_(std::move(database)), listener_(std::move(listener)) {}

JobStore::~JobStore() {
  database_.reset();  // before the next owner may open it
  close(lock_);
}

absl::StatusOr<JobRecord> JobStore::ReadLocked(const std::string& id) const {
  Query query(database_.get(), absl::StrCat("SELECT ", kJobColumns, " FROM jobs WHERE id = ?"));
  const absl::StatusOr<bool> row = query.Text(id).Next();
  if (!row.ok()) return row.status();
  if (!*row) return NoSuchJob(id);
  return DecodeJob(query);
}

absl::StatusOr<JobRecord> JobStore::Read(const std::string& id) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return ReadLocked(id);
}

absl::StatusOr<std::optional<JobRecord>> JobStore::FindRequestLocked(const std::string& request_id,
                                                                     const v1::JobSpec& spec) const {
  if (request_id.empty()) return std::nullopt;
  Query query(database_.get(), absl::StrCat("SELECT ", kJobColumns, ", request FROM jobs WHERE request_id = ?"));
  const absl::StatusOr<bool> row = query.Text(request_id).Next();
  if (!row.ok()) return row.status();
  if (!*row) return std::nullopt;
  absl::StatusOr<JobRecord> record = DecodeJob(query);
  if (!record.ok()) return record.status();
  v1::JobSpec before;
  if (!before.ParseFromString(query.BytesAt(kJobColumnCount))) return DamagedRow(record->id);
  if (!google::protobuf::util::MessageDifferencer::Equals(before, spec)) {
    return absl::AlreadyExistsError(absl::StrCat("request_id '", request_id, "' has created jobs/", record->id,
                                                 " with another spec; a new job needs a new request_id"));
  }
  return *std::move(record);
}

absl::StatusOr<std::optional<JobRecord>> JobStore::FindRequest(const std::string& request_id,
                                                               const v1::JobSpec& spec) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return FindRequestLocked(request_id, spec);
}

absl::StatusOr<JobRecord> JobStore::Create(const v1::CreateJobRequest& request, int max_queued,
                                           const google::protobuf::Timestamp& now,
                                           const std::function<worker::v1::WorkerTask(const std::string& id)>& make) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Transaction transaction(database_.get());
  if (!transaction.status().ok()) return transaction.status();
  absl::StatusOr<std::optional<JobRecord>> before = FindRequestLocked(request.request_id(), request.spec());
  if (!before.ok()) return before.status();
  if (before->has_value()) return **std::move(before);
  {
    Query count(database_.get(), "SELECT COUNT(*) FROM jobs WHERE state = ?");
    const absl::StatusOr<bool> row = count.Int(v1::JOB_STATE_QUEUED).Next();
    if (!row.ok()) return row.status();
    if (count.IntAt(0) >= max_queued) {
      return absl::ResourceExhaustedError(
          absl::StrCat(count.IntAt(0), " jobs wait, as many as jobs.max_queued allows; try again when one has begun"));
    }
  }
  JobRecord record;
  record.id = RandomId();
  record.task = make(record.id);
  record.job.set_name(absl::StrCat("jobs/", record.id));
  record.job.set_state(v1::JOB_STATE_QUEUED);
  *record.job.mutable_create_time() = now;
  if (absl::Status status = InsertJob(database_.get(), request, &record); !status.ok()) return status;
  std::vector<v1::JobEvent> events(1);
  *events[0].mutable_time() = now;
  events[0].mutable_state_change()->set_state(v1::JOB_STATE_QUEUED);
  if (absl::Status status = AppendEvents(database_.get(), &record, &events); !status.ok()) return status;
  if (absl::Status status = WriteJob(database_.get(), record); !status.ok()) return status;
  if (absl::Status status = transaction.Commit(); !status.ok()) return status;
  *record.job.mutable_spec() = record.task.spec();
  listener_(record, events);
  return record;
}

absl::StatusOr<JobRecord> JobStore::Update(const std::string& id, const Change& change) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Transaction transaction(database_.get());
  if (!transaction.status().ok()) return transaction.status();
  absl::StatusOr<JobRecord> record = ReadLocked(id);
  if (!record.ok()) return record.status();
  std::vector<v1::JobEvent> events;
  if (absl::Status status = change(&*record, &events); !status.ok()) return status;
  if (absl::Status status = AppendEvents(database_.get(), &*record, &events); !status.ok()) return status;
  if (absl::Status status = WriteJob(database_.get(), *record); !status.ok()) return status;
  if (absl::Status status = transaction.Commit(); !status.ok()) return status;
  listener_(*record, events);
  return record;
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> JobStore::InState(v1::JobState state) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Query query(database_.get(), "SELECT id, device FROM jobs WHERE state = ? ORDER BY number");
  query.Int(state);
  std::vector<std::pair<std::string, std::string>> jobs;
  while (true) {
    const absl::StatusOr<bool> row = query.Next();
    if (!row.ok()) return row.status();
    if (!*row) return jobs;
    jobs.emplace_back(query.BytesAt(0), query.BytesAt(1));
  }
}

absl::StatusOr<std::vector<std::pair<v1::JobState, int>>> JobStore::Counts() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::pair<v1::JobState, int>> counts;
  for (int state = v1::JOB_STATE_QUEUED; state <= v1::JobState_MAX; ++state) {
    counts.emplace_back(static_cast<v1::JobState>(state), 0);
  }
  Query query(database_.get(), "SELECT state, COUNT(*) FROM jobs GROUP BY state");
  while (true) {
    const absl::StatusOr<bool> row = query.Next();
    if (!row.ok()) return row.status();
    if (!*row) return counts;
    for (auto& [state, count] : counts) {
      if (state == query.IntAt(0)) count = static_cast<int>(query.IntAt(1));
    }
  }
}

absl::StatusOr<std::vector<JobRecord>> JobStore::Page(std::int64_t before, int limit) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Query query(database_.get(),
              absl::StrCat("SELECT ", kJobColumns, " FROM jobs WHERE number < ? ORDER BY number DESC LIMIT ?"));
  query.Int(before).Int(limit);
  return DecodeAll(&query);
}

absl::StatusOr<std::vector<v1::JobEvent>> JobStore::Events(const std::string& id, std::int64_t after, int limit) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Query query(database_.get(),
              "SELECT event FROM events WHERE job = (SELECT number FROM jobs WHERE id = ?) AND sequence > ? "
              "ORDER BY sequence LIMIT ?");
  query.Text(id).Int(after).Int(limit);
  std::vector<v1::JobEvent> events;
  while (true) {
    const absl::StatusOr<bool> row = query.Next();
    if (!row.ok()) return row.status();
    if (!*row) return events;
    if (!events.emplace_back().ParseFromString(query.BytesAt(0))) return DamagedRow(id);
  }
}

absl::Status JobStore::Remove(const std::string& id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Transaction transaction(database_.get());
  if (!transaction.status().ok()) return transaction.status();
  const absl::StatusOr<JobRecord> record = ReadLocked(id);
  if (!record.ok()) return record.status();
  if (!HasEnded(record->job.state())) {
    return absl::FailedPreconditionError(
        absl::StrCat("jobs/", id, " has not ended; cancel it first, and wait until it has"));
  }
  Query remove(database_.get(), "DELETE FROM jobs WHERE id = ?");
  if (absl::Status status = remove.Text(id).Run(); !status.ok()) return status;
  Query remember(database_.get(), "INSERT INTO trash (id) VALUES (?)");
  if (absl::Status status = remember.Text(id).Run(); !status.ok()) return status;
  return transaction.Commit();
}

absl::StatusOr<std::vector<std::string>> JobStore::EndedBeyond(int keep) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Query query(database_.get(),
              "SELECT id FROM (SELECT id, end_us, number FROM jobs WHERE state IN (?, ?, ?) "
              "ORDER BY end_us DESC, number DESC LIMIT -1 OFFSET ?) ORDER BY end_us, number");
  query.Int(v1::JOB_STATE_SUCCEEDED).Int(v1::JOB_STATE_FAILED).Int(v1::JOB_STATE_CANCELLED).Int(std::max(keep, 0));
  return Column(&query);
}

absl::StatusOr<std::vector<std::string>> JobStore::Trash() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Query query(database_.get(), "SELECT id FROM trash");
  return Column(&query);
}

absl::Status JobStore::EmptiedTrash(const std::string& id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Query query(database_.get(), "DELETE FROM trash WHERE id = ?");
  return query.Text(id).Run();
}

}  // namespace petit::serving
