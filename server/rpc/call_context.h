// What every call has: an identity, a deadline, and one place where it is counted, logged and answered.
#ifndef PETIT_SERVER_RPC_CALL_CONTEXT_H_
#define PETIT_SERVER_RPC_CALL_CONTEXT_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/server_context.h"
#include "models/engine/replica.h"
#include "server/rpc/call_tracker.h"
#include "server/rpc/environment.h"
#include "server/rpc/trace_context.h"

namespace petit::serving {

class CallContext {
 public:
  // `method` must outlive this ("Translate"). Sets the trailer x-request-id: the client's own header of that name where
  // it is 1 to 128 visible ASCII characters, else a new id.
  CallContext(std::string_view method, const Environment& environment, grpc::CallbackServerContext* context);

  // UNAVAILABLE while the server drains; RESOURCE_EXHAUSTED where the client has made too many requests. Once per call:
  // it counts.
  absl::Status CheckAccepting() const;

  // For each text of a stream, which counts as a request too. RESOURCE_EXHAUSTED as above.
  absl::Status TakeRequest() const;
  // Of the client's texts in flight; errors as ClientLimiter::TakeTexts.
  absl::StatusOr<ClientLimiter::Texts> TakeTexts(int count) const;

  const Environment& environment() const { return environment_; }
  const std::string& request_id() const { return request_id_; }
  // The known client's name, its certificate's, or its address.
  const std::string& client() const { return client_; }
  // Shares out the replicas' turns among clients.
  engine::Flow flow() const { return std::hash<std::string>()(client_); }
  absl::Time deadline() const { return deadline_; }

  // For the log line and the metrics. Not thread-safe: before the call's work begins, or under its lock.
  void set_model(std::string_view model) { model_ = model; }
  void add_texts(int texts) { texts_ += texts; }

  // Set once the client is gone; shared with the call's sequences.
  const engine::CancelFlag& cancel_flag() const { return cancelled_; }
  void Cancel();
  bool cancelled() const { return cancelled_->load(); }

  // The status of a call whose client is gone: DEADLINE_EXCEEDED where its time is over, UNAVAILABLE where the server's
  // is, else CANCELLED.
  absl::Status CancelledStatus() const;

  // Counts and logs the call, and gives what to finish it with. A call whose client is gone, or whose time is over,
  // ends with CancelledStatus() whatever its work came to. Once per call.
  grpc::Status Finish(absl::Status status);

 private:
  const Environment& environment_;
  CallTracker::Ref ref_;
  CallGate::Passed passed_;
  std::string_view method_;
  std::string request_id_;
  std::string client_;
  std::optional<TraceContext> trace_;
  absl::Time start_;
  absl::Time deadline_;
  std::atomic<bool> server_ended_ = false;  // and not the client, where the call is cancelled
  engine::CancelFlag cancelled_ = std::make_shared<std::atomic<bool>>(false);
  std::string model_;
  int texts_ = 0;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_CALL_CONTEXT_H_
