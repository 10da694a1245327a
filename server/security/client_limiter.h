// What each client may take of the server. Knows no gRPC.
#ifndef PETIT_SERVER_SECURITY_CLIENT_LIMITER_H_
#define PETIT_SERVER_SECURITY_CLIENT_LIMITER_H_

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/config/settings.h"

namespace petit::serving {

// How long to wait before a request that was refused for a limit can do better; nothing where the status does not say.
std::optional<absl::Duration> RetryAfter(const absl::Status& status);

// A token bucket and a count of texts for each client. Remembers only clients that have used some of theirs, at most
// kMaxClients one by one; those beyond share one allowance. Thread-safe.
class ClientLimiter {
 public:
  static constexpr std::size_t kMaxClients = 16384;

  // Texts of a client in flight, until it is destroyed. The limiter must outlive it.
  class Texts {
   public:
    Texts() = default;
    Texts(Texts&& other) noexcept { *this = std::move(other); }
    Texts& operator=(Texts&& other) noexcept;
    ~Texts() { Release(); }
    void Release();

   private:
    friend class ClientLimiter;
    ClientLimiter* limiter_ = nullptr;
    std::string client_;
    int count_ = 0;
  };

  explicit ClientLimiter(const ClientLimits& limits, std::function<absl::Time()> clock = absl::Now)
      : limits_(limits), clock_(std::move(clock)) {}

  // One request. RESOURCE_EXHAUSTED with RetryAfter: too many a second.
  absl::Status TakeRequest(std::string_view client);

  // Texts that go into flight. RESOURCE_EXHAUSTED: too many with those that are there. INVALID_ARGUMENT: more than may
  // ever be.
  absl::StatusOr<Texts> TakeTexts(std::string_view client, int count);

  // Clients remembered, for tests.
  std::size_t clients() const;

 private:
  struct State {
    double spent = 0;  // requests, less those that time gave back
    absl::Time as_of;  // when `spent` was reckoned
    int texts = 0;
  };

  void Reckon(State* state, absl::Time now) const;
  State& Find(std::string_view client, std::string* name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Release(const std::string& client, int count);

  const ClientLimits limits_;
  const std::function<absl::Time()> clock_;
  mutable absl::Mutex mutex_;
  std::map<std::string, State, std::less<>> states_ ABSL_GUARDED_BY(mutex_);
  std::size_t next_sweep_ ABSL_GUARDED_BY(mutex_) = 256;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_SECURITY_CLIENT_LIMITER_H_
