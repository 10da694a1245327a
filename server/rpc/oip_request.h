// ModelInfer's messages and Translate's: the same work in two dresses. Knows no gRPC.
#ifndef PETIT_SERVER_RPC_OIP_REQUEST_H_
#define PETIT_SERVER_RPC_OIP_REQUEST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "inference/open_inference.pb.h"
#include "petit/v1/translation.pb.h"
#include "server/config/settings.h"

namespace petit::serving {

// An output of every model, and how ModelMetadata tells of it.
enum class InferOutput { kTranslation, kScore, kTargetTokens, kFinishReason };
struct InferTensor {
  const char* name;
  const char* datatype;
};
absl::Span<const InferTensor> InferInputs();
absl::Span<const InferTensor> InferOutputs();  // in InferOutput's order

// What the answer needs of its request.
struct InferReply {
  std::string id;
  std::string model_name;
  std::vector<std::int64_t> shape;  // of every output: the text's
  std::vector<InferOutput> outputs;
  bool raw = false;  // in raw_output_contents
};

struct InferRequest {
  v1::TranslateRequest translate;
  InferReply reply;
};

// What inference/open_inference.proto promises of inputs, outputs and parameters; values that Translate checks are left
// to it. INVALID_ARGUMENT: the message names the input, output or parameter, and what would be right.
absl::StatusOr<InferRequest> ReadInferRequest(const inference::ModelInferRequest& request);

// "models/NAME/versions/VERSION" for ParseModelReference; without the version where that is empty. INVALID_ARGUMENT:
// the version is no positive number.
absl::StatusOr<std::string> InferModelReference(const std::string& name, const std::string& version);

// The first of the model's language pairs that fits the languages given, if there is one, for options without a prompt
// of their own.
void CompleteLanguages(const ModelSettings& settings, v1::TranslateOptions* options);

// `response` holds translations alone, as many as the shape has elements.
inference::ModelInferResponse MakeInferResponse(const InferReply& reply, const v1::TranslateResponse& response);

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_OIP_REQUEST_H_
