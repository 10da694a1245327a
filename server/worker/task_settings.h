// The worker's task as the trainer wants it.
#ifndef PETIT_SERVER_WORKER_TASK_SETTINGS_H_
#define PETIT_SERVER_WORKER_TASK_SETTINGS_H_

#include <string>

#include "absl/status/statusor.h"
#include "models/distill/settings.h"
#include "petit/worker/v1/worker.pb.h"

namespace petit::worker {

// INVALID_ARGUMENT: not a WorkerTask, with line and column. NOT_FOUND: no such file.
absl::StatusOr<v1::WorkerTask> ReadTask(const std::string& path);

// JOB_DIRECTORY/attempts/N
std::string AttemptDirectory(const v1::WorkerTask& task, int attempt);

// The spec of `task` is complete: the server filled in what was left out.
distill::Settings SettingsOfTask(const v1::WorkerTask& task, int attempt);

}  // namespace petit::worker

#endif  // PETIT_SERVER_WORKER_TASK_SETTINGS_H_
