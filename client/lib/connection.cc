#include "client/lib/connection.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/lib/backoff.h"
#include "client/lib/credentials.h"
#include "client/lib/status.h"

namespace petit::client {
namespace {

grpc::ChannelArguments Arguments(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(options.max_message_bytes);
  arguments.SetMaxSendMessageSize(options.max_message_bytes);
  // gRPC takes the longer of this and its backoff as the time that one attempt to connect may last.
  const auto connect_ms = static_cast<int>(absl::ToInt64Milliseconds(options.connect_timeout));
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, connect_ms);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(options.retry.initial_backoff)));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(options.retry.max_backoff)));
  // A watch may be silent for long; a peer that vanished would never be missed. Servers take more frequent pings for an
  // attack.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 301'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  // http_proxy without no_proxy would send even loopback traffic away.
  if (IsLoopback(options.server)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (!options.user_agent.empty()) arguments.SetUserAgentPrefix(options.user_agent);
  if (options.own_connection) arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return arguments;
}

}  // namespace

absl::Status Check(const ClientOptions& options) {
  if (options.server.empty()) return absl::InvalidArgumentError("server is empty; HOST:PORT is wanted");
  for (const auto& [name, value] :
       {std::pair{"timeout", options.timeout}, std::pair{"model_timeout", options.model_timeout},
        std::pair{"connect_timeout", options.connect_timeout},
        std::pair{"retry.initial_backoff", options.retry.initial_backoff},
        std::pair{"retry.max_backoff", options.retry.max_backoff}}) {
    if (value <= absl::ZeroDuration()) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " is ", absl::FormatDuration(value), "; it has to be above 0"));
    }
  }
  if (options.retry.max_attempts < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("retry.max_attempts is ", options.retry.max_attempts, "; 1 is the least (never again)"));
  }
  if (options.retry.multiplier < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("retry.multiplier is ", options.retry.multiplier, "; 1 is the least"));
  }
  if (options.max_message_bytes < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_message_bytes is ", options.max_message_bytes, "; it has to be above 0"));
  }
  return CheckCredentials(options);
}

Connection::Connection(ClientOptions options)
    : options_(std::move(options)), channel_(MakeChannel(options_, Arguments(options_))) {}

absl::Status Connection::Cancelled() { return absl::CancelledError("the call was cancelled by its caller"); }

bool Connection::MayPass(const absl::Status& status) const {
  if (!IsRetryable(status)) return false;
  return IsPassingConnectFailure(status) || !IsServerUnreachable(status) ||
         was_reached_.load(std::memory_order_relaxed);
}

absl::Status Connection::Call(const CallOptions& call, absl::Duration default_timeout, bool idempotent,
                              const Invoke& invoke) {
  const absl::Duration timeout = call.timeout.value_or(default_timeout);
  const absl::Time deadline = absl::Now() + timeout;
  for (int attempt = 1;; ++attempt) {
    if (call.cancellation != nullptr && call.cancellation->cancelled()) return Cancelled();
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(deadline));
    std::int64_t callback = 0;
    if (call.cancellation != nullptr) callback = call.cancellation->AddCallback([&] { context.TryCancel(); });
    const grpc::Status status = invoke(&context);
    if (call.cancellation != nullptr) call.cancellation->RemoveCallback(callback);
    if (status.ok()) {
      was_reached_.store(true, std::memory_order_relaxed);
      return absl::OkStatus();
    }
    absl::Status result = FromGrpc(status, context, options_.server, timeout);
    if (call.cancellation != nullptr && call.cancellation->cancelled()) return Cancelled();
    if (!IsServerUnreachable(result)) was_reached_.store(true, std::memory_order_relaxed);
    const bool repeatable = idempotent || IsPassingConnectFailure(result);
    if (!repeatable || !MayPass(result) || attempt >= options_.retry.max_attempts) return result;
    const absl::Duration wait = WaitAfter(options_.retry, attempt, result);
    if (absl::Now() + wait >= deadline) return result;
    if (call.cancellation == nullptr) {
      absl::SleepFor(wait);
    } else if (call.cancellation->WaitFor(wait)) {
      return Cancelled();
    }
  }
}

}  // namespace petit::client
