#include "models/engine/replica.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"

namespace petit::engine {

struct Replica::Impl {
  Impl(std::unique_ptr<Executor> executor, ReplicaOptions options) : loop(std::move(executor), std::move(options)) {}

  // The worker thread's life.
  void Work();
  void Wake();

  ReplicaLoop loop;
  std::thread worker;  // touched by Replica alone

  std::mutex mutex;
  std::condition_variable woken;
  std::condition_variable rested;
  bool wake ABSL_GUARDED_BY(mutex) = false;  // something may have changed since the worker last looked
  bool idle ABSL_GUARDED_BY(mutex) = false;  // the worker found nothing to do and waits
  bool stop ABSL_GUARDED_BY(mutex) = false;
};

void Replica::Impl::Work() {
  while (true) {
    {
      // The loop has something to do whenever something waits, deadlines included; so there is no clock to wait for.
      std::unique_lock lock(mutex);
      if (idle) {
        rested.notify_all();
        woken.wait(lock, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return wake || stop; });
        idle = false;
      }
      if (stop) break;
      wake = false;
    }
    if (loop.RunOnce()) continue;
    const std::lock_guard lock(mutex);
    idle = !wake;
  }
  loop.FailAll(absl::UnavailableError("the replica stopped before this was done"));
}

void Replica::Impl::Wake() {
  const std::lock_guard lock(mutex);
  wake = true;
  woken.notify_one();
}

Replica::Replica(std::unique_ptr<Executor> executor, ReplicaOptions options)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(options))) {
  impl_->worker = std::thread([impl = impl_] { impl->Work(); });
}

Replica::~Replica() {
  Stop();
  // On the worker's own thread we are inside a `done`: it ends after us and lets go of what is ours.
  if (impl_->worker.get_id() == std::this_thread::get_id()) {
    impl_->worker.detach();
  } else {
    impl_->worker.join();
  }
}

void Replica::Stop() {
  impl_->loop.StopAccepting();
  const std::lock_guard lock(impl_->mutex);
  impl_->stop = true;
  impl_->woken.notify_one();
}

absl::Status Replica::Submit(SequenceRequest request) {
  absl::Status status = impl_->loop.Enqueue(std::move(request));
  if (status.ok()) Wake();
  return status;
}

absl::Status Replica::Submit(std::vector<SequenceRequest> requests) {
  absl::Status status = impl_->loop.Enqueue(std::move(requests));
  if (status.ok()) Wake();
  return status;
}

absl::Status Replica::SubmitScore(ScoreRequest request) {
  absl::Status status = impl_->loop.EnqueueScore(std::move(request));
  if (status.ok()) Wake();
  return status;
}

Intake* Replica::intake() { return impl_->loop.intake(); }

std::int64_t Replica::work() const { return impl_->loop.work(); }

void Replica::Wake() { impl_->Wake(); }

bool Replica::Drain(absl::Time deadline) {
  impl_->loop.StopAccepting();
  std::unique_lock lock(impl_->mutex);
  // Whatever was accepted is in the queue by now, but its Submit may not have woken the worker yet: do so, and wait
  // until the worker has looked again.
  impl_->wake = true;
  impl_->woken.notify_one();
  const auto rests = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return impl_->idle && !impl_->wake; };
  if (deadline == absl::InfiniteFuture()) {
    impl_->rested.wait(lock, rests);
    return true;
  }
  return impl_->rested.wait_until(lock, absl::ToChronoTime(deadline), rests);
}

const ExecutorInfo& Replica::info() const { return impl_->loop.info(); }

}  // namespace petit::engine
