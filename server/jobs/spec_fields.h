// The part of a job's spec that can be checked and completed without models and data; internal to the folder.
#ifndef PETIT_SERVER_JOBS_SPEC_FIELDS_H_
#define PETIT_SERVER_JOBS_SPEC_FIELDS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "petit/v1/job.pb.h"
#include "server/config/settings.h"

namespace petit::serving {

// Checks every number, name, count and enum, and fills in the defaults that depend on nothing else. Completing a
// complete spec changes nothing. INVALID_ARGUMENT: the message begins with the field's path.
absl::Status CompleteFields(const JobsSettings& settings, v1::JobSpec* spec);

// Checks and fills in what depends on the amount of data: `take` and `share` of the sets must be those of the files.
absl::Status CompleteLengths(v1::JobSpec* spec);

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_SPEC_FIELDS_H_
