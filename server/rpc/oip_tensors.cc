#include "server/rpc/oip_tensors.h"

#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/printable.h"

namespace petit::serving {
namespace {

using inference::InferTensorContents;
using inference::ModelInferRequest;
using InputTensor = ModelInferRequest::InferInputTensor;

constexpr std::size_t kLengthBytes = 4;

absl::Status Wrong(const InputTensor& tensor, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("input \"", Printable(tensor.name(), 64), "\" ", what));
}

std::uint32_t LittleEndian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    value |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(bytes[i])) << (8 * i);
  }
  return value;
}

void AppendLittleEndian(std::uint32_t value, std::string* bytes) {
  for (std::size_t i = 0; i < kLengthBytes; ++i) bytes->push_back(static_cast<char>((value >> (8 * i)) & 0xff));
}

std::uint32_t Bits(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

absl::StatusOr<std::vector<std::string_view>> ReadRaw(const InputTensor& tensor, std::string_view raw) {
  std::vector<std::string_view> elements;
  while (!raw.empty()) {
    if (raw.size() < kLengthBytes) {
      return Wrong(tensor, absl::StrCat("has raw contents that end within the length of element ", elements.size(),
                                        "; each element is 4 bytes of length, little-endian, and its bytes"));
    }
    const std::uint32_t length = LittleEndian(raw);
    raw.remove_prefix(kLengthBytes);
    if (length > raw.size()) {
      return Wrong(tensor, absl::StrCat("has raw contents in which element ", elements.size(), " has a length of ",
                                        length, ", but ", raw.size(), " bytes follow"));
    }
    elements.push_back(raw.substr(0, length));
    raw.remove_prefix(length);
  }
  return elements;
}

bool HasOtherThanBytes(const InferTensorContents& contents) {
  return contents.bool_contents_size() + contents.int_contents_size() + contents.int64_contents_size() +
             contents.uint_contents_size() + contents.uint64_contents_size() + contents.fp32_contents_size() +
             contents.fp64_contents_size() >
         0;
}

absl::StatusOr<std::vector<std::string_view>> ReadElements(const ModelInferRequest& request, int index) {
  const InputTensor& tensor = request.inputs(index);
  if (request.raw_input_contents().empty()) {
    if (HasOtherThanBytes(tensor.contents())) {
      return Wrong(tensor, "has contents of another type than its datatype; BYTES stand in bytes_contents");
    }
    return std::vector<std::string_view>(tensor.contents().bytes_contents().begin(),
                                         tensor.contents().bytes_contents().end());
  }
  if (request.raw_input_contents_size() != request.inputs_size()) {
    return absl::InvalidArgumentError(absl::StrCat("raw_input_contents has ", request.raw_input_contents_size(),
                                                   " entries for ", request.inputs_size(),
                                                   " inputs; it must have one for each, or none"));
  }
  if (tensor.has_contents()) {
    return Wrong(tensor, "has contents beside raw_input_contents; a request has one of the two");
  }
  return ReadRaw(tensor, request.raw_input_contents(index));
}

}  // namespace

absl::StatusOr<std::vector<std::string_view>> ReadBytesInput(const ModelInferRequest& request, int index) {
  const InputTensor& tensor = request.inputs(index);
  if (tensor.datatype() != "BYTES") {
    return Wrong(tensor, absl::StrCat("has the datatype \"", Printable(tensor.datatype(), 64), "\"; it must be BYTES"));
  }
  if (!tensor.parameters().empty()) {
    return Wrong(tensor, absl::StrCat("has the parameter \"", Printable(tensor.parameters().begin()->first, 64),
                                      "\"; inputs take none (shared memory is not supported)"));
  }
  const bool right = tensor.shape_size() == 1 || (tensor.shape_size() == 2 && tensor.shape(1) == 1);
  const std::string shape =
      absl::StrJoin(absl::MakeSpan(tensor.shape().data(), std::min(tensor.shape_size(), 8)), ", ");
  if (!right || tensor.shape(0) < 0) {
    return Wrong(tensor, absl::StrCat("has the shape [", shape, "]; it must be [N] or [N, 1]"));
  }
  absl::StatusOr<std::vector<std::string_view>> elements = ReadElements(request, index);
  if (elements.ok() && static_cast<std::uint64_t>(tensor.shape(0)) != elements->size()) {
    return Wrong(tensor, absl::StrCat("has the shape [", shape, "], but ", elements->size(), " elements"));
  }
  return elements;
}

inference::ModelInferResponse::InferOutputTensor* OutputWriter::Add(const std::string& name, const char* datatype) {
  auto* tensor = response_.add_outputs();
  tensor->set_name(name);
  tensor->set_datatype(datatype);
  tensor->mutable_shape()->Assign(shape_.begin(), shape_.end());
  return tensor;
}

void OutputWriter::AddBytes(const std::string& name, absl::Span<const std::string> values) {
  auto* tensor = Add(name, "BYTES");
  if (!raw_) {
    for (const std::string& value : values) tensor->mutable_contents()->add_bytes_contents(value);
    return;
  }
  std::string* raw = response_.add_raw_output_contents();
  for (const std::string& value : values) {
    AppendLittleEndian(static_cast<std::uint32_t>(value.size()), raw);
    raw->append(value);
  }
}

void OutputWriter::AddFp32(const std::string& name, absl::Span<const float> values) {
  auto* tensor = Add(name, "FP32");
  if (!raw_) {
    tensor->mutable_contents()->mutable_fp32_contents()->Assign(values.begin(), values.end());
    return;
  }
  std::string* raw = response_.add_raw_output_contents();
  for (const float value : values) AppendLittleEndian(Bits(value), raw);
}

void OutputWriter::AddInt32(const std::string& name, absl::Span<const std::int32_t> values) {
  auto* tensor = Add(name, "INT32");
  if (!raw_) {
    tensor->mutable_contents()->mutable_int_contents()->Assign(values.begin(), values.end());
    return;
  }
  std::string* raw = response_.add_raw_output_contents();
  for (const std::int32_t value : values) AppendLittleEndian(static_cast<std::uint32_t>(value), raw);
}

}  // namespace petit::serving
