// What every launcher asks of a Launch before it starts anything.
#ifndef PETIT_SERVER_JOBS_LAUNCH_CHECK_H_
#define PETIT_SERVER_JOBS_LAUNCH_CHECK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/jobs/launcher.h"

namespace petit::serving {

// INVALID_ARGUMENT: a job id with other characters than letters, digits, '-' and '_', directories that are not
// absolute, control characters in paths, NUL in arguments, or counts that make no sense.
absl::Status CheckLaunch(const Launch& launch);

// Of a file in the attempt's directory.
std::string AttemptFile(const Launch& launch, absl::string_view name);

// For messages: "attempt 2 of job x".
std::string DescribeLaunch(const Launch& launch);

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_LAUNCH_CHECK_H_
