// The models of a job's spec; internal to the folder.
#ifndef PETIT_SERVER_JOBS_SPEC_MODELS_H_
#define PETIT_SERVER_JOBS_SPEC_MODELS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "petit/v1/job.pb.h"
#include "server/config/settings.h"
#include "server/jobs/job_models.h"

namespace petit::serving {

struct SpecModels {
  std::string teacher_checkpoint;  // empty: no teacher
  std::string student_checkpoint;  // empty: the student begins as part of its teacher, or random
  // Those of the teacher, or without one of the student, and that model's name.
  std::vector<Prompt> prompts;
  std::string prompts_of;
};

// Finds the models, checks that they fit each other and the loss, and completes `student` and what its config.json
// gives. NOT_FOUND: no such model. UNAVAILABLE: it serves no version. INVALID_ARGUMENT: the rest.
absl::StatusOr<SpecModels> ResolveModels(const JobModels& models, v1::JobSpec* spec);

// The prefix for the language pair of the set at `field` ("train[0]"), or INVALID_ARGUMENT with the pairs there are.
absl::StatusOr<std::string> FindPrefix(const SpecModels& models, const std::string& field, const std::string& source,
                                       const std::string& target);

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_SPEC_MODELS_H_
