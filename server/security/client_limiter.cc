#include "server/security/client_limiter.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace petit::serving {
namespace {

constexpr absl::string_view kRetryAfterUrl = "petit/retry-after-nanoseconds";
// Of those who find no place of their own. No client and no address is called so.
constexpr char kOthers[] = "*";

}  // namespace

std::optional<absl::Duration> RetryAfter(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kRetryAfterUrl);
  std::int64_t nanoseconds = 0;
  if (!payload || !absl::SimpleAtoi(std::string(*payload), &nanoseconds)) return std::nullopt;
  return absl::Nanoseconds(nanoseconds);
}

ClientLimiter::Texts& ClientLimiter::Texts::operator=(Texts&& other) noexcept {
  if (this == &other) return *this;
  Release();
  limiter_ = std::exchange(other.limiter_, nullptr);
  client_ = std::move(other.client_);
  count_ = other.count_;
  return *this;
}

void ClientLimiter::Texts::Release() {
  if (limiter_ != nullptr) std::exchange(limiter_, nullptr)->Release(client_, count_);
}

absl::Status ClientLimiter::TakeRequest(std::string_view client) {
  if (!limits_.requests_per_second) return absl::OkStatus();
  const absl::MutexLock lock(&mutex_);
  State& state = Find(client, nullptr);
  // A little less than one suffices: the bucket is filled in floating point.
  const double missing = state.spent + 1 - limits_.burst;
  if (missing < 1e-9) {
    state.spent += 1;
    return absl::OkStatus();
  }
  absl::Status refused =
      absl::ResourceExhaustedError(absl::StrCat("this client sends more than ", *limits_.requests_per_second,
                                                " requests a second, the limit of "
                                                "each client here (limits.client.requests_per_second)"));
  const absl::Duration wait = absl::Seconds(missing / *limits_.requests_per_second);
  refused.SetPayload(kRetryAfterUrl, absl::Cord(absl::StrCat(absl::ToInt64Nanoseconds(wait))));
  return refused;
}

absl::StatusOr<ClientLimiter::Texts> ClientLimiter::TakeTexts(std::string_view client, int count) {
  if (!limits_.max_texts_in_flight || count == 0) return Texts();
  const int most = *limits_.max_texts_in_flight;
  if (count > most) {
    return absl::InvalidArgumentError(absl::StrCat(count,
                                                   " texts at a time are more than a client may have in flight "
                                                   "here, ",
                                                   most,
                                                   " (limits.client.max_texts_in_flight); send fewer, or stream them"));
  }
  const absl::MutexLock lock(&mutex_);
  Texts taken;
  State& state = Find(client, &taken.client_);
  if (count > most - state.texts) {
    return absl::ResourceExhaustedError(absl::StrCat("this client has ", state.texts,
                                                     " texts in flight, this request adds ", count,
                                                     ", the limit of each client "
                                                     "here is ",
                                                     most, " (limits.client.max_texts_in_flight)"));
  }
  state.texts += count;
  taken.count_ = count;
  taken.limiter_ = this;
  return taken;
}

std::size_t ClientLimiter::clients() const {
  const absl::MutexLock lock(&mutex_);
  return states_.size();
}

void ClientLimiter::Reckon(State* state, absl::Time now) const {
  const double passed = std::max(0.0, absl::ToDoubleSeconds(now - state->as_of));
  state->spent = std::max(0.0, state->spent - passed * limits_.requests_per_second.value_or(0));
  state->as_of = std::max(state->as_of, now);
}

ClientLimiter::State& ClientLimiter::Find(std::string_view client, std::string* name) {
  const absl::Time now = clock_();
  auto found = states_.find(client);
  if (found == states_.end() && states_.size() >= next_sweep_) {
    for (auto at = states_.begin(); at != states_.end();) {
      Reckon(&at->second, now);
      at = at->second.texts == 0 && at->second.spent == 0 ? states_.erase(at) : std::next(at);
    }
    // Rarely enough that it costs each newcomer little.
    next_sweep_ = std::max<std::size_t>(256, std::min(kMaxClients, 2 * states_.size()));
  }
  if (found == states_.end()) {
    const bool full = states_.size() >= kMaxClients;
    found = states_.try_emplace(full ? std::string(kOthers) : std::string(client), State{.as_of = now}).first;
  }
  Reckon(&found->second, now);
  if (name != nullptr) *name = found->first;
  return found->second;
}

void ClientLimiter::Release(const std::string& client, int count) {
  const absl::MutexLock lock(&mutex_);
  const auto found = states_.find(client);
  if (found == states_.end()) return;
  found->second.texts -= count;
  // Without a rate nothing else is worth remembering.
  if (found->second.texts == 0 && !limits_.requests_per_second) states_.erase(found);
}

}  // namespace petit::serving
