// A few threads for work that must not run on gRPC's threads or on a replica's: answers, timers, model loads.
#ifndef PETIT_SERVER_RPC_WORKER_POOL_H_
#define PETIT_SERVER_RPC_WORKER_POOL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace petit::serving {

class WorkerPool {
 public:
  using Task = std::function<void()>;

  explicit WorkerPool(int threads, std::size_t max_queued = std::numeric_limits<std::size_t>::max());
  // As Stop.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Runs the task soon, in the order of posting where there is one thread. False, and the task is dropped, where
  // max_queued tasks wait already or after Stop.
  bool Post(Task task);

  // Runs the task after the delay. Not counted against max_queued.
  void PostAfter(absl::Duration delay, Task task);

  // Runs what is queued, drops what waits for its time and whatever is posted later. Not from a task.
  void Stop();

 private:
  void Work();

  const std::size_t max_queued_;
  absl::Mutex mutex_;
  absl::CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Task> ready_ ABSL_GUARDED_BY(mutex_);
  // By due time; equal times in the order of posting.
  std::multimap<absl::Time, Task> timed_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_WORKER_POOL_H_
