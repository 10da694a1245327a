// Between the public structs and the wire's messages.
#ifndef PETIT_CLIENT_LIB_CONVERT_H_
#define PETIT_CLIENT_LIB_CONVERT_H_

#include <string>

#include "client/lib/client.h"
#include "petit/v1/model.pb.h"
#include "petit/v1/translation.pb.h"

namespace petit::client {

petit::v1::TranslateOptions ToProto(const TranslateOptions& options);
DecodingOptions FromProto(const petit::v1::DecodingOptions& options);
TextResult FromProto(petit::v1::TranslationResult result);
ScoreResult FromProto(const petit::v1::ScoreResult& result);
Model FromProto(const petit::v1::Model& model);
ServerInfo FromProto(const petit::v1::ServerInfo& info);

}  // namespace petit::client

#endif  // PETIT_CLIENT_LIB_CONVERT_H_
