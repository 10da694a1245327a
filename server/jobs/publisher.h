// Takes a job's students from where its worker left them to where they stay, and into the versions of a served model.
// Every step may be interrupted by a crash and done again.
#ifndef PETIT_SERVER_JOBS_PUBLISHER_H_
#define PETIT_SERVER_JOBS_PUBLISHER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "petit/v1/job.pb.h"
#include "server/jobs/job_models.h"
#include "server/jobs/job_record.h"

namespace petit::serving {

// In a version's directory: which job's student it is. JSON, {"arm": ..., "job": "jobs/ID"}.
inline constexpr char kVersionMarkFile[] = "petit_job.json";

// Moves the students of attempts `first_attempt` to job.attempt() to students/ARM below the job's directory; of an arm
// with several, the latest. Returns all that are there then, in the spec's order of arms, with their paths. On an error
// those that could not be moved are still where they were, and `students` has all with the paths that they have.
absl::Status KeepStudents(const JobRecord& record, int first_attempt, std::vector<v1::Student>* students);

std::string VersionPath(const std::string& versions_root, std::int64_t version);

// The highest version that is this student of this job, by its mark; 0: none is.
absl::StatusOr<std::int64_t> FindVersion(const std::string& versions_root, const std::string& job,
                                         const v1::Student& student);

// Makes a student's checkpoint the next version of a model: copies it beside the versions and renames it. Returns the
// version. `chosen` is record.publish_version: the version that an interrupted call had chosen, or 0. `choose` stores a
// choice, between the copy and the rename; an error of it is returned, and nothing is published then. Calls at the same
// time are for different students, or for different models.
absl::StatusOr<std::int64_t> PlaceVersion(const std::string& versions_root, const std::string& job,
                                          const v1::Student& student, std::int64_t chosen,
                                          const std::function<absl::Status(std::int64_t version)>& choose);

// All of it, for a job whose worker has finished; its stage is kPublishing. Blocks for as long as copying and loading
// take. `students` gets what there is, whatever is returned. UNAVAILABLE: trying again may help.
absl::Status Publish(const JobRecord& record, JobModels* models,
                     const std::function<absl::Status(std::int64_t version)>& choose,
                     std::vector<v1::Student>* students);

// Takes back a version that PlaceVersion placed but that cannot be served: a server that starts later must not choose
// it. One of anybody else's stays.
absl::Status WithdrawVersion(const std::string& versions_root, const std::string& job, const v1::Student& student,
                             std::int64_t version);

// The same for the version record.publish_version that Publish placed.
absl::Status Withdraw(const JobRecord& record, const JobModels& models, const v1::Student& student);

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_PUBLISHER_H_
