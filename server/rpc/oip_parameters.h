// The parameters of a ModelInfer request. Knows no gRPC.
#ifndef PETIT_SERVER_RPC_OIP_PARAMETERS_H_
#define PETIT_SERVER_RPC_OIP_PARAMETERS_H_

#include "absl/status/status.h"
#include "inference/open_inference.pb.h"
#include "petit/v1/translation.pb.h"

namespace petit::serving {

// Sets in `options` what the request's parameters ask for. INVALID_ARGUMENT: an unknown name (the message lists those
// there are), or a value of another type or out of the type's range.
absl::Status ReadInferParameters(const inference::ModelInferRequest& request, v1::TranslateOptions* options);

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_OIP_PARAMETERS_H_
