// The job store's tables, and how a job is a row of them.
#ifndef PETIT_SERVER_JOBS_JOB_ROWS_H_
#define PETIT_SERVER_JOBS_JOB_ROWS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "petit/v1/job.pb.h"
#include "server/jobs/job_record.h"
#include "server/jobs/sqlite.h"

namespace petit::serving {

// What a SELECT for DecodeJob begins with.
extern const char kJobColumns[];
inline constexpr int kJobColumnCount = 13;

// Creates the tables in a new database. FAILED_PRECONDITION: a newer server wrote it.
absl::Status PrepareSchema(Database* database, const std::string& path);

absl::Status DamagedRow(absl::string_view id);

// Of the present row of a query of kJobColumns.
absl::StatusOr<JobRecord> DecodeJob(const Query& row);

// Sets record->number.
absl::Status InsertJob(Database* database, const v1::CreateJobRequest& request, JobRecord* record);

// What may change of a job.
absl::Status WriteJob(Database* database, const JobRecord& record);

// Gives the events the job's next sequence numbers.
absl::Status AppendEvents(Database* database, JobRecord* record, std::vector<v1::JobEvent>* events);

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_JOB_ROWS_H_
