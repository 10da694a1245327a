// A job's spec as people write it: a text file.
#ifndef PETIT_CLIENT_CLI_JOB_SPEC_H_
#define PETIT_CLIENT_CLI_JOB_SPEC_H_

#include <string>

#include "absl/status/statusor.h"
#include "petit/v1/job.pb.h"

namespace petit::cli {

// Textproto of petit.v1.JobSpec. INVALID_ARGUMENT: every error found, "FILE:LINE:COLUMN: what is wrong", counted from
// 1, one a line. `name` stands for the file in messages.
absl::StatusOr<petit::v1::JobSpec> ParseJobSpec(const std::string& text, const std::string& name);

// "-" is `standard_input`. Ends early where `interrupt_fd` becomes readable, with CANCELLED.
absl::StatusOr<petit::v1::JobSpec> ReadJobSpec(const std::string& path, int standard_input, int interrupt_fd);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_JOB_SPEC_H_
