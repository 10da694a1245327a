#include "server/rpc/worker_pool.h"

#include "absl/time/clock.h"

namespace petit::serving {

WorkerPool::WorkerPool(int threads, std::size_t max_queued) : max_queued_(max_queued) {
  threads_.reserve(threads);
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

WorkerPool::~WorkerPool() { Stop(); }

void WorkerPool::Stop() {
  std::multimap<absl::Time, Task> dropped;
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.SignalAll();
    dropped.swap(timed_);
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

bool WorkerPool::Post(Task task) {
  const absl::MutexLock lock(&mutex_);
  if (stopping_ || ready_.size() >= max_queued_) return false;
  ready_.push_back(std::move(task));
  changed_.Signal();
  return true;
}

void WorkerPool::PostAfter(absl::Duration delay, Task task) {
  const absl::MutexLock lock(&mutex_);
  if (stopping_) return;
  timed_.emplace(absl::Now() + delay, std::move(task));
  changed_.Signal();
}

void WorkerPool::Work() {
  while (true) {
    Task task;
    {
      const absl::MutexLock lock(&mutex_);
      while (true) {
        if (!timed_.empty() && timed_.begin()->first <= absl::Now()) {
          task = std::move(timed_.begin()->second);
          timed_.erase(timed_.begin());
          break;
        }
        if (!ready_.empty()) {
          task = std::move(ready_.front());
          ready_.pop_front();
          break;
        }
        if (stopping_) return;
        if (timed_.empty()) {
          changed_.Wait(&mutex_);
        } else {
          changed_.WaitWithDeadline(&mutex_, timed_.begin()->first);
        }
      }
    }
    task();  // and its destruction, outside the lock: it may hold the last reference to a call
  }
}

}  // namespace petit::serving
