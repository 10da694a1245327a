// The model that a student is to become a version of; internal to the folder.
#ifndef PETIT_SERVER_JOBS_PUBLISH_TARGET_H_
#define PETIT_SERVER_JOBS_PUBLISH_TARGET_H_

#include <string>

#include "absl/status/statusor.h"
#include "server/jobs/job_models.h"

namespace petit::serving {

// "student" of "student" and "models/student".
std::string PlainModelName(const std::string& name);

// The model of a plain name. NOT_FOUND: there is none. FAILED_PRECONDITION: its configuration allows no new version;
// the message says what it needs.
absl::StatusOr<ModelForJob> FindPublishTarget(const JobModels& models, const std::string& name);

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_PUBLISH_TARGET_H_
