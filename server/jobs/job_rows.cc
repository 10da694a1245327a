#include "server/jobs/job_rows.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"

namespace petit::serving {
namespace {

constexpr int kSchema = 1;

// The columns that clients' questions need are columns; the rest of a job is its Protobuf. `job` lacks the spec, which
// is in `task`.
constexpr char kCreateTables[] = R"sql(
  CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    request_id TEXT UNIQUE,
    request BLOB NOT NULL,
    task BLOB NOT NULL,
    device TEXT NOT NULL,
    state INTEGER NOT NULL,
    end_us INTEGER NOT NULL,
    job BLOB NOT NULL,
    stage INTEGER NOT NULL,
    launched INTEGER NOT NULL,
    tail_offset INTEGER NOT NULL,
    tail_sequence INTEGER NOT NULL,
    outcome BLOB,
    best_step INTEGER NOT NULL,
    barren_starts INTEGER NOT NULL,
    retry_reason TEXT NOT NULL,
    publish_version INTEGER NOT NULL);
  CREATE INDEX jobs_by_state ON jobs (state, number);
  CREATE TABLE events (
    job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    event BLOB NOT NULL,
    PRIMARY KEY (job, sequence)) WITHOUT ROWID;
  CREATE TABLE trash (id TEXT PRIMARY KEY) WITHOUT ROWID;
)sql";

std::int64_t EndMicros(const v1::Job& job) {
  return HasEnded(job.state()) ? job.end_time().seconds() * 1000000 + job.end_time().nanos() / 1000 : 0;
}

std::string JobBytes(v1::Job job) {
  job.clear_spec();
  return job.SerializeAsString();
}

}  // namespace

const char kJobColumns[] =
    "number, id, task, job, stage, launched, tail_offset, tail_sequence, outcome, best_step, barren_starts, "
    "retry_reason, publish_version";

absl::Status PrepareSchema(Database* database, const std::string& path) {
  Transaction transaction(database);
  if (!transaction.status().ok()) return transaction.status();
  std::int64_t schema = 0;
  {
    Query query(database, "PRAGMA user_version");
    const absl::StatusOr<bool> row = query.Next();
    if (!row.ok()) return row.status();
    schema = query.IntAt(0);
  }
  if (schema > kSchema) {
    return absl::FailedPreconditionError(absl::StrCat(path, " was written by a newer server (schema ", schema,
                                                      ", this server knows ", kSchema, "); run that one"));
  }
  if (schema == 0) {
    if (absl::Status status = database->Execute(kCreateTables); !status.ok()) return status;
    const std::string mark = absl::StrCat("PRAGMA user_version = ", kSchema);
    if (absl::Status status = database->Execute(mark); !status.ok()) return status;
  }
  return transaction.Commit();
}

absl::Status DamagedRow(absl::string_view id) {
  return absl::DataLossError(absl::StrCat("the job store's row of jobs/", id, " is damaged"));
}

absl::StatusOr<JobRecord> DecodeJob(const Query& row) {
  JobRecord record;
  record.number = row.IntAt(0);
  record.id = row.BytesAt(1);
  if (!record.task.ParseFromString(row.BytesAt(2)) || !record.job.ParseFromString(row.BytesAt(3))) {
    return DamagedRow(record.id);
  }
  *record.job.mutable_spec() = record.task.spec();
  record.stage = static_cast<Stage>(row.IntAt(4));
  record.launched = row.IntAt(5) != 0;
  record.tail = {row.IntAt(6), row.IntAt(7)};
  if (!row.IsNullAt(8) && !record.outcome.emplace().ParseFromString(row.BytesAt(8))) return DamagedRow(record.id);
  record.best_step = row.IntAt(9);
  record.barren_starts = static_cast<int>(row.IntAt(10));
  record.retry_reason = row.BytesAt(11);
  record.publish_version = row.IntAt(12);
  return record;
}

absl::Status InsertJob(Database* database, const v1::CreateJobRequest& request, JobRecord* record) {
  Query insert(database,
               "INSERT INTO jobs (id, request_id, request, task, device, state, end_us, job, stage, launched, "
               "tail_offset, tail_sequence, outcome, best_step, barren_starts, retry_reason, publish_version) "
               "VALUES (?, ?, ?, ?, ?, ?, 0, ?, 0, 0, 0, 0, NULL, 0, 0, '', 0)");
  insert.Text(record->id);
  if (request.request_id().empty()) {
    insert.Null();
  } else {
    insert.Text(request.request_id());
  }
  insert.Blob(request.spec().SerializeAsString()).Blob(record->task.SerializeAsString());
  insert.Text(record->task.device()).Int(record->job.state()).Blob(JobBytes(record->job));
  if (absl::Status status = insert.Run(); !status.ok()) return status;
  record->number = database->last_insert_rowid();
  return absl::OkStatus();
}

absl::Status WriteJob(Database* database, const JobRecord& record) {
  Query update(database,
               "UPDATE jobs SET state = ?, end_us = ?, job = ?, stage = ?, launched = ?, tail_offset = ?, "
               "tail_sequence = ?, outcome = ?, best_step = ?, barren_starts = ?, retry_reason = ?, "
               "publish_version = ? WHERE number = ?");
  update.Int(record.job.state()).Int(EndMicros(record.job)).Blob(JobBytes(record.job));
  update.Int(static_cast<int>(record.stage)).Int(record.launched ? 1 : 0);
  update.Int(record.tail.offset).Int(record.tail.sequence);
  if (record.outcome.has_value()) {
    update.Blob(record.outcome->SerializeAsString());
  } else {
    update.Null();
  }
  update.Int(record.best_step).Int(record.barren_starts).Text(record.retry_reason).Int(record.publish_version);
  return update.Int(record.number).Run();
}

absl::Status AppendEvents(Database* database, JobRecord* record, std::vector<v1::JobEvent>* events) {
  for (v1::JobEvent& event : *events) {
    event.set_sequence(record->job.last_sequence() + 1);
    Query insert(database, "INSERT INTO events (job, sequence, event) VALUES (?, ?, ?)");
    insert.Int(record->number).Int(event.sequence()).Blob(event.SerializeAsString());
    if (absl::Status status = insert.Run(); !status.ok()) return status;
    record->job.set_last_sequence(event.sequence());
  }
  return absl::OkStatus();
}

}  // namespace petit::serving
