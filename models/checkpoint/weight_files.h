// The safetensors files of a checkpoint directory: one, or shards and their index. Internal to this folder.
#ifndef PETIT_MODELS_CHECKPOINT_WEIGHT_FILES_H_
#define PETIT_MODELS_CHECKPOINT_WEIGHT_FILES_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "models/checkpoint/file.h"
#include "models/checkpoint/safetensors.h"
#include "models/t5/config.h"

namespace petit::checkpoint {

struct FoundTensor {
  std::size_t file = 0;  // index into WeightFiles::files
  SafetensorsEntry entry;
};

struct WeightFiles {
  std::vector<ReadableFile> files;
  std::map<std::string, FoundTensor> tensors;
  std::string source;  // the file that lists the tensors, for messages: the one file or the index
};

// Opens model.safetensors or, without one, the shards of model.safetensors.index.json, and checks their headers.
// Index and shards must agree: every name in the index is in the shard that it names, every tensor of a shard is in
// the index, no tensor is in two shards. Shards are files of the same directory: a name with a slash is refused.
// NOT_FOUND: neither file, or a shard is not there. INVALID_ARGUMENT: anything else.
absl::StatusOr<WeightFiles> OpenWeightFiles(const std::string& directory);

// A required tensor under the name that this checkpoint has it by.
struct ResolvedTensor {
  std::string name;  // t5::RequiredTensors' name
  const FoundTensor* found = nullptr;
};

// Holds the tensors against t5::RequiredTensors(config), and returns them in its order. A shared embedding may be
// there under the name of one of its copies alone: Hugging Face writes tensors that share memory once, and which of
// the names survives differs between versions. INVALID_ARGUMENT: missing, unexpected or misshapen tensors; `weights`
// must outlive the result.
absl::StatusOr<std::vector<ResolvedTensor>> ResolveTensors(const WeightFiles& weights, const t5::T5Config& config);

}  // namespace petit::checkpoint

#endif  // PETIT_MODELS_CHECKPOINT_WEIGHT_FILES_H_
