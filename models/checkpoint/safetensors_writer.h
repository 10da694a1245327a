// Writes one safetensors file. Internal to this folder.
#ifndef PETIT_MODELS_CHECKPOINT_SAFETENSORS_WRITER_H_
#define PETIT_MODELS_CHECKPOINT_SAFETENSORS_WRITER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "models/checkpoint/checkpoint.h"

namespace petit::checkpoint {

// The header, padded to 8 bytes, then the tensors: wider types first and otherwise in the order given, so that every
// element lies aligned to its size. Waits for the disk. `path` must not exist. RESOURCE_EXHAUSTED: disk full.
absl::Status WriteSafetensors(const std::string& path, std::vector<const TensorToWrite*> tensors);

}  // namespace petit::checkpoint

#endif  // PETIT_MODELS_CHECKPOINT_SAFETENSORS_WRITER_H_
