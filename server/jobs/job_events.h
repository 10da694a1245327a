// Makes clients' events of workers' events, and keeps a job's view in step with them.
#ifndef PETIT_SERVER_JOBS_JOB_EVENTS_H_
#define PETIT_SERVER_JOBS_JOB_EVENTS_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"
#include "petit/v1/job.pb.h"
#include "petit/worker/v1/worker.pb.h"
#include "server/jobs/job_record.h"

namespace petit::serving {

// To the microsecond.
google::protobuf::Timestamp ToTimestamp(absl::Time time);

v1::JobEvent LogEvent(absl::Time now, v1::LogLine::Level level, std::string text);
v1::JobEvent StateEvent(absl::Time now, v1::JobState state, int attempt, std::string reason);

// Takes an event of the present attempt into the record, but for its place in the file. Appends what clients are to
// see: nothing for heartbeats and for the last event, whose consequences are the server's to tell.
void TakeEvent(const worker::v1::WorkerEvent& event, absl::Time now, JobRecord* record,
               std::vector<v1::JobEvent>* events);

// Ends the job in the record: state, time, error where it has FAILED, students; and appends the events for it.
void EndJob(absl::Time now, v1::JobState state, const std::string& reason, const std::vector<v1::Student>& students,
            JobRecord* record, std::vector<v1::JobEvent>* events);

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_JOB_EVENTS_H_
