#include "models/checkpoint/safetensors_writer.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/checkpoint/file.h"
#include "models/checkpoint/safetensors.h"
#include "nlohmann/json.hpp"

namespace petit::checkpoint {
namespace {

std::string HeaderText(const std::vector<const TensorToWrite*>& tensors) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};  // transformers refuses a file that does not say which framework's it is
  std::uint64_t offset = 0;
  for (const TensorToWrite* tensor : tensors) {
    const std::uint64_t end = offset + tensor->data.size();
    nlohmann::ordered_json& entry = header[tensor->name];
    entry["dtype"] = std::string(DTypeName(tensor->dtype));
    entry["shape"] = tensor->shape;
    entry["data_offsets"] = {offset, end};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

std::string LengthBytes(std::uint64_t length) {
  std::string bytes;
  for (std::uint64_t i = 0; i < kHeaderLengthBytes; ++i) bytes.push_back(static_cast<char>(length >> (8 * i) & 0xff));
  return bytes;
}

}  // namespace

absl::Status WriteSafetensors(const std::string& path, std::vector<const TensorToWrite*> tensors) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorToWrite* a, const TensorToWrite* b) {
    return DTypeSize(a->dtype) > DTypeSize(b->dtype);
  });
  absl::StatusOr<WritableFile> file = WritableFile::Create(path);
  if (!file.ok()) return file.status();
  const std::string header = HeaderText(tensors);
  if (auto status = file->Append(LengthBytes(header.size()) + header); !status.ok()) return status;
  for (const TensorToWrite* tensor : tensors) {
    if (auto status = file->Append(tensor->data); !status.ok()) return status;
  }
  return file->Close();
}

}  // namespace petit::checkpoint
