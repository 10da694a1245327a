#include "server/rpc/translation_service.h"

#include "server/rpc/score_call.h"
#include "server/rpc/stream_call.h"
#include "server/rpc/translate_call.h"

namespace petit::serving {

grpc::ServerUnaryReactor* TranslationServiceImpl::Translate(grpc::CallbackServerContext* context,
                                                            const grpc::ByteBuffer* request,
                                                            grpc::ByteBuffer* response) {
  return TranslateCall::Start(environment_, context, request, response);
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
