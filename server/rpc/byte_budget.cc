#include "server/rpc/byte_budget.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace petit::serving {

ByteBudget::Lease& ByteBudget::Lease::operator=(Lease&& other) noexcept {
  if (this == &other) return *this;
  Release();
  budget_ = std::exchange(other.budget_, nullptr);
  bytes_ = other.bytes_;
  return *this;
}

void ByteBudget::Lease::Release() {
  if (budget_ != nullptr) std::exchange(budget_, nullptr)->GiveBack(bytes_);
}

absl::StatusOr<ByteBudget::Ticket> ByteBudget::Acquire(std::int64_t bytes, Granted granted) {
  if (bytes < 0 || bytes > total_) {
    return absl::InvalidArgumentError(
        absl::StrCat(bytes, " bytes can never be granted: the whole budget is ", total_, " bytes"));
  }
  Ticket ticket = 0;
  std::vector<Waiter> grantable;
  {
    const absl::MutexLock lock(&mutex_);
    ticket = next_ticket_++;
    waiting_.emplace(ticket, Waiter{bytes, std::move(granted)});
    grantable = TakeGrantable();
  }
  Grant(grantable);
  return ticket;
}

bool ByteBudget::Cancel(Ticket ticket) {
  std::vector<Waiter> grantable;
  {
    const absl::MutexLock lock(&mutex_);
    if (waiting_.erase(ticket) == 0) return false;
    grantable = TakeGrantable();  // a large one at the head may have held up smaller ones
  }
  Grant(grantable);
  return true;
}

std::int64_t ByteBudget::available() const {
  const absl::MutexLock lock(&mutex_);
  return available_;
}

int ByteBudget::waiting() const {
  const absl::MutexLock lock(&mutex_);
  return static_cast<int>(waiting_.size());
}

std::vector<ByteBudget::Waiter> ByteBudget::TakeGrantable() {
  std::vector<Waiter> grantable;
  while (!waiting_.empty() && waiting_.begin()->second.bytes <= available_) {
    available_ -= waiting_.begin()->second.bytes;
    grantable.push_back(std::move(waiting_.begin()->second));
    waiting_.erase(waiting_.begin());
  }
  return grantable;
}

void ByteBudget::Grant(const std::vector<Waiter>& waiters) {
  for (const Waiter& waiter : waiters) waiter.granted(Lease(this, waiter.bytes));
}

void ByteBudget::GiveBack(std::int64_t bytes) {
  std::vector<Waiter> grantable;
  {
    const absl::MutexLock lock(&mutex_);
    available_ += bytes;
    grantable = TakeGrantable();
  }
  Grant(grantable);
}

}  // namespace petit::serving
