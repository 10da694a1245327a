// One call that translates texts, all at once.
#ifndef PETIT_SERVER_RPC_TRANSLATE_CALL_H_
#define PETIT_SERVER_RPC_TRANSLATE_CALL_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "petit/v1/translation.pb.h"
#include "server/rpc/call_context.h"
#include "server/rpc/traffic.h"
#include "server/rpc/translate_format.h"
#include "server/rpc/translate_request.h"

namespace petit::serving {

// The gRPC thread parses, checks, tokenizes and submits; the replicas' workers collect; a responder answers.
class TranslateCall final : public grpc::ServerUnaryReactor, public std::enable_shared_from_this<TranslateCall> {
 public:
  // The reactor owns itself until gRPC and the replicas are done with it.
  static grpc::ServerUnaryReactor* Start(std::unique_ptr<TranslateFormat> format, const Environment& environment,
                                         grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response);

  void OnCancel() override;
  void OnDone() override { self_ = nullptr; }

 private:
  TranslateCall(std::unique_ptr<TranslateFormat> format, const Environment& environment,
                grpc::CallbackServerContext* context, grpc::ByteBuffer* response)
      : format_(std::move(format)), context_(format_->method(), environment, context), response_(response) {}

  // Errors end the call.
  absl::Status Begin(const grpc::ByteBuffer& bytes);
  absl::Status Submit();
  void Answer(const std::vector<SequenceResults>& results);
  // The call's own status where `failed` texts failed, texts_[first] the first of them.
  absl::Status StatusOf(std::size_t failed, std::size_t first, const absl::Status& error) const;

  const std::unique_ptr<TranslateFormat> format_;
  CallContext context_;
  grpc::ByteBuffer* response_;
  std::shared_ptr<TranslateCall> self_;
  std::optional<TranslationPlan> plan_;
  std::vector<absl::StatusOr<PreparedText>> texts_;
  std::optional<Traffic::Texts> counted_;  // the good ones
  ClientLimiter::Texts share_;             // likewise
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_TRANSLATE_CALL_H_
