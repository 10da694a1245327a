// Tensors of the Open Inference Protocol, as bytes and back. Knows no gRPC.
#ifndef PETIT_SERVER_RPC_OIP_TENSORS_H_
#define PETIT_SERVER_RPC_OIP_TENSORS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "inference/open_inference.pb.h"

namespace petit::serving {

// The elements of inputs[index], a BYTES tensor of shape [N] or [N, 1], from raw_input_contents or from its own
// contents; views into the request. INVALID_ARGUMENT: another datatype or shape, contents that do not fit them or stand
// in both places, any parameter. The message names the input.
absl::StatusOr<std::vector<std::string_view>> ReadBytesInput(const inference::ModelInferRequest& request, int index);

// Appends one output to a response, raw or typed; all of a response must be alike.
class OutputWriter {
 public:
  OutputWriter(bool raw, std::vector<std::int64_t> shape, inference::ModelInferResponse* response)
      : raw_(raw), shape_(std::move(shape)), response_(*response) {}

  // As many values as the shape has elements.
  void AddBytes(const std::string& name, absl::Span<const std::string> values);
  void AddFp32(const std::string& name, absl::Span<const float> values);
  void AddInt32(const std::string& name, absl::Span<const std::int32_t> values);

 private:
  inference::ModelInferResponse::InferOutputTensor* Add(const std::string& name, const char* datatype);

  const bool raw_;
  const std::vector<std::int64_t> shape_;
  inference::ModelInferResponse& response_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_OIP_TENSORS_H_
