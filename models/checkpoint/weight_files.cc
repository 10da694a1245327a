#include "models/checkpoint/weight_files.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "models/checkpoint/json.h"
#include "models/t5/tensors.h"
#include "nlohmann/json.hpp"

namespace petit::checkpoint {
namespace {

constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";
constexpr std::uint64_t kMaxIndexBytes = 16 << 20;

std::string Shape(const std::vector<std::int64_t>& shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); }

absl::Status AddFile(const std::string& path, WeightFiles& weights) {
  absl::StatusOr<ReadableFile> file = ReadableFile::Open(path);
  if (!file.ok()) return file.status();
  absl::StatusOr<std::vector<SafetensorsEntry>> entries = ReadSafetensorsHeader(*file);
  if (!entries.ok()) return entries.status();
  for (SafetensorsEntry& entry : *entries) {
    const auto [found, inserted] = weights.tensors.try_emplace(entry.name);
    if (!inserted) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": tensor ", Quote(entry.name), " is in ",
                                                     weights.files[found->second.file].path(), " already"));
    }
    found->second = {.file = weights.files.size(), .entry = std::move(entry)};
  }
  weights.files.push_back(*std::move(file));
  return absl::OkStatus();
}

// Tensor name -> shard name.
absl::StatusOr<std::map<std::string, std::string>> ParseIndex(absl::string_view text, const std::string& path) {
  const absl::StatusOr<nlohmann::json> index = ParseJsonObject(text, path);
  if (!index.ok()) return index.status();
  const auto weight_map = index->find("weight_map");
  if (weight_map == index->end() || !weight_map->is_object() || weight_map->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": lacks weight_map; expected an object from tensor names to shard names"));
  }
  std::map<std::string, std::string> shards;
  for (const auto& [tensor, shard] : weight_map->items()) {
    const std::string* name = shard.get_ptr<const std::string*>();
    if (name == nullptr || name->empty() || *name == "." || *name == ".." ||
        name->find_first_of("/\0", 0, 2) != std::string::npos) {
      const std::string given =
          name != nullptr ? *name : shard.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      return absl::InvalidArgumentError(absl::StrCat(path, ": tensor ", Quote(tensor), " is in shard ", Quote(given),
                                                     "; expected the name of a file in the same directory"));
    }
    shards.emplace(tensor, *name);
  }
  return shards;
}

absl::Status CheckIndex(const std::map<std::string, std::string>& index, const std::string& directory,
                        const WeightFiles& weights) {
  for (const auto& [tensor, shard] : index) {
    const auto found = weights.tensors.find(tensor);
    const std::string path = absl::StrCat(directory, "/", shard);
    if (found == weights.tensors.end() || weights.files[found->second.file].path() != path) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": lacks the tensor ", Quote(tensor), ", which ", weights.source, " says is there"));
    }
  }
  for (const auto& [tensor, found] : weights.tensors) {
    if (index.find(tensor) == index.end()) {
      return absl::InvalidArgumentError(absl::StrCat(weights.files[found.file].path(), ": has the tensor ",
                                                     Quote(tensor), ", which ", weights.source, " does not list"));
    }
  }
  return absl::OkStatus();
}

absl::Status AddShards(const std::string& directory, absl::string_view index_text, WeightFiles& weights) {
  const absl::StatusOr<std::map<std::string, std::string>> index = ParseIndex(index_text, weights.source);
  if (!index.ok()) return index.status();
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : *index) shards.insert(shard);
  for (const std::string& shard : shards) {
    absl::Status status = AddFile(absl::StrCat(directory, "/", shard), weights);
    if (absl::IsNotFound(status)) {
      return absl::NotFoundError(absl::StrCat(status.message(), "; ", weights.source, " names this shard"));
    }
    if (!status.ok()) return status;
  }
  return CheckIndex(*index, directory, weights);
}

const FoundTensor* FindWithAliases(const WeightFiles& weights, const t5::T5Config& config, const std::string& name) {
  if (const auto found = weights.tensors.find(name); found != weights.tensors.end()) return &found->second;
  if (name != t5::kSharedEmbedding) return nullptr;
  for (const std::string alias : {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"}) {
    // An untied model's head is no copy of the embedding.
    if (!t5::IsIgnoredTensor(alias, config)) continue;
    if (const auto found = weights.tensors.find(alias); found != weights.tensors.end()) return &found->second;
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<WeightFiles> OpenWeightFiles(const std::string& directory) {
  WeightFiles weights;
  weights.source = absl::StrCat(directory, "/", kSingleFile);
  const absl::Status single = AddFile(weights.source, weights);
  if (single.ok()) return weights;
  if (!absl::IsNotFound(single)) return single;

  weights.source = absl::StrCat(directory, "/", kIndexFile);
  const absl::StatusOr<std::string> index = ReadTextFile(weights.source, kMaxIndexBytes);
  if (absl::IsNotFound(index.status())) {
    return absl::NotFoundError(absl::StrCat(directory, ": has neither ", kSingleFile, " nor ", kIndexFile,
                                            "; expected a checkpoint in the Hugging Face layout with its weights in "
                                            "safetensors files"));
  }
  if (!index.ok()) return index.status();
  if (auto status = AddShards(directory, *index, weights); !status.ok()) return status;
  return weights;
}

absl::StatusOr<std::vector<ResolvedTensor>> ResolveTensors(const WeightFiles& weights, const t5::T5Config& config) {
  std::vector<ResolvedTensor> resolved;
  std::set<std::string> required;
  std::string first_missing;
  std::size_t missing = 0;
  for (t5::TensorSpec& spec : t5::RequiredTensors(config)) {
    required.insert(spec.name);
    const FoundTensor* found = FindWithAliases(weights, config, spec.name);
    if (found == nullptr) {
      if (missing++ == 0) first_missing = absl::StrCat(Quote(spec.name), " of shape ", Shape(spec.shape));
      continue;
    }
    if (found->entry.shape != spec.shape) {
      return absl::InvalidArgumentError(absl::StrCat(weights.files[found->file].path(), ": tensor ",
                                                     Quote(found->entry.name), " has shape ", Shape(found->entry.shape),
                                                     "; config.json asks for ", Shape(spec.shape)));
    }
    resolved.push_back({.name = std::move(spec.name), .found = found});
  }
  if (missing > 0) {
    return absl::InvalidArgumentError(absl::StrCat(weights.source, ": lacks ", missing,
                                                   " of the tensors that config.json asks for; the first is ",
                                                   first_missing));
  }
  for (const auto& [name, found] : weights.tensors) {
    if (required.count(name) > 0 || t5::IsIgnoredTensor(name, config)) continue;
    return absl::InvalidArgumentError(absl::StrCat(weights.files[found.file].path(), ": has the unexpected tensor ",
                                                   Quote(name), " of shape ", Shape(found.entry.shape),
                                                   "; config.json asks for none of that name"));
  }
  return resolved;
}

}  // namespace petit::checkpoint
