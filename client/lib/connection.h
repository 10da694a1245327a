// What the clients of all services share: a channel, and calls that are repeated where that is safe.
#ifndef PETIT_CLIENT_LIB_CONNECTION_H_
#define PETIT_CLIENT_LIB_CONNECTION_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/lib/client.h"

namespace petit::client {

// INVALID_ARGUMENT: options that cannot be meant.
absl::Status Check(const ClientOptions& options);

// Thread-safe.
class Connection {
 public:
  // Makes the call once and fills in its response.
  using Invoke = std::function<grpc::Status(grpc::ClientContext*)>;

  explicit Connection(ClientOptions options);

  // Repeats what may be repeated, as RetryPolicy says. A call that is not idempotent is repeated only where it never
  // left.
  absl::Status Call(const CallOptions& call, absl::Duration default_timeout, bool idempotent, const Invoke& invoke);

  // Whether it may help to try again after this failure: it says "later", and there is or was a server.
  [[nodiscard]] bool MayPass(const absl::Status& status) const;

  [[nodiscard]] const ClientOptions& options() const { return options_; }
  [[nodiscard]] const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  // Whether any server has answered.
  std::atomic<bool>& was_reached() { return was_reached_; }

  static absl::Status Cancelled();

 private:
  const ClientOptions options_;
  const std::shared_ptr<grpc::Channel> channel_;
  std::atomic<bool> was_reached_ = false;
};

}  // namespace petit::client

#endif  // PETIT_CLIENT_LIB_CONNECTION_H_
