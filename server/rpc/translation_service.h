// petit.v1.TranslationService.
#ifndef PETIT_SERVER_RPC_TRANSLATION_SERVICE_H_
#define PETIT_SERVER_RPC_TRANSLATION_SERVICE_H_

#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "petit/v1/translation.grpc.pb.h"
#include "server/rpc/environment.h"

namespace petit::serving {

// Takes bytes, see message_io.h. The environment must outlive the service.
class TranslationServiceImpl final
    : public v1::TranslationService::WithRawCallbackMethod_Translate<
          v1::TranslationService::WithRawCallbackMethod_StreamTranslate<
              v1::TranslationService::WithRawCallbackMethod_Score<v1::TranslationService::Service>>> {
 public:
  explicit TranslationServiceImpl(const Environment* environment) : environment_(*environment) {}

  grpc::ServerUnaryReactor* Translate(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StreamTranslate(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;

 private:
  const Environment& environment_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_TRANSLATION_SERVICE_H_
