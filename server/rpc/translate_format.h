// What a call that translates looks like on the wire: petit.v1's own messages, or another protocol's.
#ifndef PETIT_SERVER_RPC_TRANSLATE_FORMAT_H_
#define PETIT_SERVER_RPC_TRANSLATE_FORMAT_H_

#include <string_view>

#include "absl/status/status.h"
#include "grpcpp/support/byte_buffer.h"
#include "petit/v1/translation.pb.h"
#include "server/config/settings.h"

namespace petit::serving {

// One for each call, which uses it from one thread at a time: Parse, Complete, Answer.
class TranslateFormat {
 public:
  virtual ~TranslateFormat() = default;

  // For log and metrics: "Translate". Lives for ever.
  virtual std::string_view method() const = 0;
  // True: where one text fails, the call does.
  virtual bool all_or_nothing() const = 0;

  // INVALID_ARGUMENT: not a request; the message says why.
  virtual absl::Status Parse(const grpc::ByteBuffer& bytes, v1::TranslateRequest* request) = 0;
  // Fills in what the protocol lets a request leave open, once the model is known.
  virtual void Complete(const ModelSettings& model, v1::TranslateOptions* options) const = 0;
  // `response` has a result for each text; all are translations where all_or_nothing.
  virtual grpc::ByteBuffer Answer(const v1::TranslateResponse& response) const = 0;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_TRANSLATE_FORMAT_H_
