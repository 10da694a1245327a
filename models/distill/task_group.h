// Tasks that train one job together, by LibTorch's c10d over Gloo. This header is free of LibTorch.
#ifndef PETIT_MODELS_DISTILL_TASK_GROUP_H_
#define PETIT_MODELS_DISTILL_TASK_GROUP_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "models/distill/trainer.h"

namespace petit::distill {

struct TaskGroupOptions {
  int rank = 0;
  int size = 1;
  // A file that all tasks see and that none has used before: there they find each other.
  std::string rendezvous_file;
  // How long a task waits for another, in joining and in every sum. A task that died makes the others fail then.
  absl::Duration timeout = absl::Minutes(10);
};

// Blocks until all have joined. Tensors on a GPU are summed on the host: NCCL's headers and libraries are not part of
// the LibTorch that we build against. UNAVAILABLE: the others did not come in time.
absl::StatusOr<std::unique_ptr<TaskGroup>> JoinTasks(const TaskGroupOptions& options);

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_TASK_GROUP_H_
