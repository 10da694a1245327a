#include "server/rpc/translation_service.h"

#include <memory>

#include "server/rpc/message_io.h"
#include "server/rpc/score_call.h"
#include "server/rpc/stream_call.h"
#include "server/rpc/translate_call.h"

namespace petit::serving {
namespace {

class PetitFormat final : public TranslateFormat {
 public:
  std::string_view method() const override { return "Translate"; }
  bool all_or_nothing() const override { return false; }
  absl::Status Parse(const grpc::ByteBuffer& bytes, v1::TranslateRequest* request) override {
    return ParseMessage(bytes, request);
  }
  void Complete(const ModelSettings& /*model*/, v1::TranslateOptions* /*options*/) const override {}
  grpc::ByteBuffer Answer(const v1::TranslateResponse& response) const override { return SerializeMessage(response); }
};

}  // namespace

grpc::ServerUnaryReactor* TranslationServiceImpl::Translate(grpc::CallbackServerContext* context,
                                                            const grpc::ByteBuffer* request,
                                                            grpc::ByteBuffer* response) {
  return TranslateCall::Start(std::make_unique<PetitFormat>(), environment_, context, request, response);
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* TranslationServiceImpl::StreamTranslate(
    grpc::CallbackServerContext* context) {
  return StreamCall::Start(environment_, context);
}

grpc::ServerUnaryReactor* TranslationServiceImpl::Score(grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  return ScoreCall::Start(environment_, context, request, response);
}

}  // namespace petit::serving
