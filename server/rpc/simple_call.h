// Calls that need no replica: one message in, one message or an error out.
#ifndef PETIT_SERVER_RPC_SIMPLE_CALL_H_
#define PETIT_SERVER_RPC_SIMPLE_CALL_H_

#include <functional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/rpc/call_context.h"
#include "server/rpc/message_io.h"

namespace petit::serving {

// Parses, runs a handler on this thread or on a pool, and answers. Deletes itself.
template <class Request, class Response>
class SimpleCall final : public grpc::ServerUnaryReactor {
 public:
  using Handler = std::function<absl::StatusOr<Response>(const Request&, CallContext*)>;
  // What becomes of the call while the server drains: UNAVAILABLE, or the same as ever.
  enum class Draining { kRefused, kServed };

  // `pool` may be null: the handler is quick and runs at once.
  static grpc::ServerUnaryReactor* Start(std::string_view method, const Environment& environment,
                                         grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response, WorkerPool* pool, Handler handler,
                                         Draining draining = Draining::kRefused) {
    auto* call = new SimpleCall(method, environment, context, response, std::move(handler));
    call->Begin(*request, pool, draining);
    return call;
  }

  void OnDone() override { delete this; }

 private:
  SimpleCall(std::string_view method, const Environment& environment, grpc::CallbackServerContext* context,
             grpc::ByteBuffer* response, Handler handler)
      : context_(method, environment, context), response_(response), handler_(std::move(handler)) {}

  void Begin(const grpc::ByteBuffer& request, WorkerPool* pool, Draining draining) {
    absl::Status status = draining == Draining::kServed ? absl::OkStatus() : context_.CheckAccepting();
    if (status.ok()) status = ParseMessage(request, &request_);
    if (!status.ok()) return Finish(context_.Finish(std::move(status)));
    if (pool == nullptr) return Run();
    if (!pool->Post([this] { Run(); })) {
      Finish(context_.Finish(
          absl::ResourceExhaustedError("too many operations on models and jobs wait already; try again later")));
    }
  }

  void Run() {
    const absl::StatusOr<Response> response = handler_(request_, &context_);
    if (response.ok()) *response_ = SerializeMessage(*response);
    Finish(context_.Finish(response.status()));
  }

  CallContext context_;
  grpc::ByteBuffer* response_;
  Handler handler_;
  Request request_;
};

// Ends at once with an error, whatever the kind of call. Deletes itself.
template <class Reactor>
class RefusedCall final : public Reactor {
 public:
  RefusedCall(std::string_view method, const Environment& environment, grpc::CallbackServerContext* context,
              absl::Status status)
      : context_(method, environment, context) {
    this->Finish(context_.Finish(std::move(status)));
  }

  void OnDone() override { delete this; }

 private:
  CallContext context_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_SIMPLE_CALL_H_
