// Watching a job: curves on a terminal, lines elsewhere, JSON for scripts.
#ifndef PETIT_CLIENT_CLI_JOB_WATCH_H_
#define PETIT_CLIENT_CLI_JOB_WATCH_H_

#include <cstdint>
#include <string>

#include "client/cli/command.h"
#include "client/lib/jobs.h"

namespace petit::cli {

struct JobWatchOptions {
  std::int64_t after_sequence = 0;
  bool json = false;
  bool quiet = false;
};

// Watches until the job has ended. Returns the exit code: 0 where it succeeded, 1 where it failed or was cancelled,
// with the reason on standard error.
int WatchJob(const client::JobClient& client, const std::string& name, const JobWatchOptions& options, Io& io);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_JOB_WATCH_H_
