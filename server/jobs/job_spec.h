// Turns a client's JobSpec into a complete one and into the worker's task, or says what is wrong with it.
#ifndef PETIT_SERVER_JOBS_JOB_SPEC_H_
#define PETIT_SERVER_JOBS_JOB_SPEC_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "petit/v1/job.pb.h"
#include "petit/worker/v1/worker.pb.h"
#include "server/config/settings.h"
#include "server/jobs/job_models.h"

namespace petit::serving {

// Checks every field of `spec` (NaN and infinities, ranges, names, counts, that teacher, student and publish_as are
// served models, that teacher and student share a vocabulary and tokenizer, that data files lie below data_root with
// every symbolic link followed), reads the data once from end to end (UTF-8, NUL, two columns, line length, at least
// one pair; the error names file and line), fills in all defaults (arm names among them), and resolves names to paths.
// In the task returned, spec is complete; job, job_directory and cache_directory are left to the caller.
// INVALID_ARGUMENT: the message begins with the field's path ("train[0].path: ..."). NOT_FOUND becomes
// INVALID_ARGUMENT too, but for models: NOT_FOUND.
// UNAVAILABLE: a model serves no version now, or a file cannot be read. FAILED_PRECONDITION: data_root is gone.
absl::StatusOr<worker::v1::WorkerTask> ResolveJobSpec(const v1::JobSpec& spec, const JobsSettings& settings,
                                                      const JobModels& models);

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_JOB_SPEC_H_
