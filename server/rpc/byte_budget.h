// A number of bytes that several requests share, handed out first come, first served, without a blocked thread.
#ifndef PETIT_SERVER_RPC_BYTE_BUDGET_H_
#define PETIT_SERVER_RPC_BYTE_BUDGET_H_

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace petit::serving {

class ByteBudget {
 public:
  // Bytes that were granted; they go back when it is destroyed. The budget must outlive it.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { Release(); }

    void Release();
    bool held() const { return budget_ != nullptr; }

   private:
    friend class ByteBudget;
    Lease(ByteBudget* budget, std::int64_t bytes) : budget_(budget), bytes_(bytes) {}

    ByteBudget* budget_ = nullptr;
    std::int64_t bytes_ = 0;
  };

  using Granted = std::function<void(Lease)>;
  using Ticket = std::uint64_t;

  explicit ByteBudget(std::int64_t total_bytes) : total_(total_bytes), available_(total_bytes) {}

  // Calls `granted` once with the bytes: before this returns if they are there and nobody waits, else from the thread
  // that gives bytes back. It must be quick, and must not drop a lease itself but hand it on. INVALID_ARGUMENT: more
  // than the whole budget.
  absl::StatusOr<Ticket> Acquire(std::int64_t bytes, Granted granted);

  // True if the ticket was still waiting: then `granted` is never called.
  bool Cancel(Ticket ticket);

  std::int64_t total() const { return total_; }
  std::int64_t available() const;
  int waiting() const;

 private:
  struct Waiter {
    std::int64_t bytes = 0;
    Granted granted;
  };

  // Takes the waiters from the head for whom there are bytes.
  std::vector<Waiter> TakeGrantable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Grant(const std::vector<Waiter>& waiters);
  void GiveBack(std::int64_t bytes);

  const std::int64_t total_;
  mutable absl::Mutex mutex_;
  std::int64_t available_ ABSL_GUARDED_BY(mutex_);
  Ticket next_ticket_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<Ticket, Waiter> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_BYTE_BUDGET_H_
