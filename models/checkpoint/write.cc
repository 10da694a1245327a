#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/checkpoint/checkpoint.h"
#include "models/checkpoint/config_json.h"
#include "models/checkpoint/file.h"
#include "models/checkpoint/finite.h"
#include "models/checkpoint/json.h"
#include "models/checkpoint/safetensors_writer.h"
#include "models/checkpoint/staging.h"
#include "models/t5/tensors.h"
#include "nlohmann/json.hpp"

namespace petit::checkpoint {
namespace {

using Shard = std::vector<const TensorToWrite*>;

std::string Shape(const std::vector<std::int64_t>& shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); }

absl::Status CheckTensor(const TensorToWrite& tensor, const t5::TensorSpec& spec) {
  if (tensor.shape != spec.shape) {
    return absl::InvalidArgumentError(absl::StrCat("tensor ", Quote(tensor.name), " has shape ", Shape(tensor.shape),
                                                   "; the configuration asks for ", Shape(spec.shape)));
  }
  std::size_t bytes = DTypeSize(tensor.dtype);
  for (const std::int64_t size : spec.shape) bytes *= static_cast<std::size_t>(size);
  if (tensor.data.size() != bytes) {
    return absl::InvalidArgumentError(absl::StrCat("tensor ", Quote(tensor.name), " has ", tensor.data.size(),
                                                   " bytes of data; shape ", Shape(spec.shape), " of ",
                                                   std::string(DTypeName(tensor.dtype)), " needs ", bytes));
  }
  // Open would refuse it, when whoever diverged is gone.
  if (const auto bad = FirstNonFinite(tensor.dtype, tensor.data)) {
    return absl::InvalidArgumentError(absl::StrCat("tensor ", Quote(tensor.name), " has ",
                                                   NonFiniteName(tensor.dtype, tensor.data, *bad), " at element ", *bad,
                                                   "; expected finite numbers only"));
  }
  return absl::OkStatus();
}

// `tensors` in the order of t5::RequiredTensors, each checked against its specification.
absl::StatusOr<Shard> OrderTensors(const t5::T5Config& config, absl::Span<const TensorToWrite> tensors) {
  std::map<absl::string_view, const TensorToWrite*> by_name;
  for (const TensorToWrite& tensor : tensors) {
    if (!by_name.emplace(tensor.name, &tensor).second) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", Quote(tensor.name), " is given twice"));
    }
  }
  Shard ordered;
  for (const t5::TensorSpec& spec : t5::RequiredTensors(config)) {
    const auto found = by_name.find(spec.name);
    if (found == by_name.end()) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", Quote(spec.name), " of shape ", Shape(spec.shape),
                                                     " is missing; the configuration asks for it"));
    }
    if (auto status = CheckTensor(*found->second, spec); !status.ok()) return status;
    ordered.push_back(found->second);
    by_name.erase(found);
  }
  if (!by_name.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("tensor ", Quote(by_name.begin()->first),
                                                   " is unexpected; the configuration asks for none of that name"));
  }
  return ordered;
}

std::vector<Shard> SplitIntoShards(const Shard& tensors, std::int64_t max_shard_bytes) {
  std::vector<Shard> shards;
  std::int64_t bytes = 0;
  for (const TensorToWrite* tensor : tensors) {
    const auto size = static_cast<std::int64_t>(tensor->data.size());
    if (shards.empty() || size > max_shard_bytes - bytes) {
      shards.emplace_back();
      bytes = 0;
    }
    shards.back().push_back(tensor);
    bytes += size;  // above the limit only for a tensor that is so by itself
  }
  return shards;
}

absl::Status WriteText(const std::string& path, const std::string& text) {
  absl::StatusOr<WritableFile> file = WritableFile::Create(path);
  if (!file.ok()) return file.status();
  if (auto status = file->Append(text); !status.ok()) return status;
  return file->Close();
}

absl::Status WriteWeights(const std::string& directory, const std::vector<Shard>& shards) {
  if (shards.size() == 1) return WriteSafetensors(directory + "/model.safetensors", shards.front());
  nlohmann::ordered_json index;
  std::uint64_t total_bytes = 0;
  std::uint64_t total_parameters = 0;
  std::map<std::string, std::string> weight_map;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = absl::StrFormat("model-%05d-of-%05d.safetensors", i + 1, shards.size());
    if (auto status = WriteSafetensors(absl::StrCat(directory, "/", name), shards[i]); !status.ok()) return status;
    for (const TensorToWrite* tensor : shards[i]) {
      weight_map[tensor->name] = name;
      total_bytes += tensor->data.size();
      total_parameters += tensor->data.size() / DTypeSize(tensor->dtype);
    }
  }
  index["metadata"] = {{"total_parameters", total_parameters}, {"total_size", total_bytes}};
  index["weight_map"] = weight_map;
  return WriteText(directory + "/model.safetensors.index.json", index.dump(2) + "\n");
}

absl::Status CopyFile(const std::string& from, const std::string& to) {
  absl::StatusOr<ReadableFile> source = ReadableFile::Open(from);
  if (!source.ok()) return source.status();
  absl::StatusOr<WritableFile> target = WritableFile::Create(to);
  if (absl::IsAlreadyExists(target.status())) {
    return absl::InvalidArgumentError(
        absl::StrCat(from, ": cannot be copied; the checkpoint has a file of that name already"));
  }
  if (!target.ok()) return target.status();
  std::vector<std::byte> chunk(std::size_t{256} << 10);
  for (std::uint64_t at = 0; at < source->size(); at += chunk.size()) {
    const auto bytes = absl::MakeSpan(chunk).subspan(0, std::min<std::uint64_t>(chunk.size(), source->size() - at));
    if (auto status = source->ReadAt(at, bytes); !status.ok()) return status;
    if (auto status = target->Append(bytes); !status.ok()) return status;
  }
  return target->Close();
}

// One dtype: that one. Several: float32, which loses nothing of any.
DType CommonDType(const Shard& tensors) {
  const bool same = std::all_of(tensors.begin(), tensors.end(), [&tensors](const TensorToWrite* tensor) {
    return tensor->dtype == tensors.front()->dtype;
  });
  return same ? tensors.front()->dtype : DType::kF32;
}

}  // namespace

absl::Status Write(const std::string& directory, const t5::T5Config& config, const GenerationConfig& generation,
                   absl::Span<const TensorToWrite> tensors, const WriteOptions& options) {
  std::optional<std::string> problem = t5::Validate(config);
  if (!problem) problem = ValidateGeneration(generation, config.vocab_size);
  if (!problem && options.max_shard_bytes <= 0) {
    problem = absl::StrCat("max_shard_bytes is ", options.max_shard_bytes, "; it must be above 0");
  }
  if (problem) return absl::InvalidArgumentError(absl::StrCat(directory, ": ", *problem));
  const absl::StatusOr<Shard> ordered = OrderTensors(config, tensors);
  if (!ordered.ok()) {
    return absl::Status(ordered.status().code(), absl::StrCat(directory, ": ", ordered.status().message()));
  }

  absl::StatusOr<StagingDirectory> staging = StagingDirectory::Create(directory);
  if (!staging.ok()) return staging.status();
  const std::string& path = staging->path();
  if (auto status = WriteText(path + "/config.json", ConfigText(config, CommonDType(*ordered))); !status.ok()) {
    return status;
  }
  if (auto status = WriteText(path + "/generation_config.json", GenerationConfigText(generation)); !status.ok()) {
    return status;
  }
  if (auto status = WriteWeights(path, SplitIntoShards(*ordered, options.max_shard_bytes)); !status.ok()) {
    return status;
  }
  for (const std::string& from : options.files_to_copy) {
    const std::string name = std::filesystem::path(from).filename();
    if (auto status = CopyFile(from, absl::StrCat(path, "/", name)); !status.ok()) return status;
  }
  return staging->Publish();
}

}  // namespace petit::checkpoint
