// Jobs as tables and pages of text.
#ifndef PETIT_CLIENT_CLI_JOB_TEXT_H_
#define PETIT_CLIENT_CLI_JOB_TEXT_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "petit/v1/job.pb.h"

namespace petit::cli {

// A line each. `now` ends the time that a running job has taken.
std::string FormatJobTable(const std::vector<petit::v1::Job>& jobs, absl::Time now);

// All about one job: where it is, its dev scores and students, its spec.
std::string FormatJob(const petit::v1::Job& job, absl::Time now);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_JOB_TEXT_H_
