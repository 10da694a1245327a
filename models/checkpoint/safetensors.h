// The header of a safetensors file, read and checked. Internal to this folder.
//
// Format: https://github.com/huggingface/safetensors#format. Eight bytes, little-endian: the length n of the header;
// n bytes of JSON, {"NAME": {"dtype", "shape", "data_offsets": [begin, end]}, ..., "__metadata__": {...}}; then the
// tensors' bytes, which the offsets count from here.
#ifndef PETIT_MODELS_CHECKPOINT_SAFETENSORS_H_
#define PETIT_MODELS_CHECKPOINT_SAFETENSORS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "models/checkpoint/checkpoint.h"
#include "models/checkpoint/file.h"

namespace petit::checkpoint {

inline constexpr std::uint64_t kHeaderLengthBytes = 8;

struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  // bytes from the start of the file
  std::uint64_t end = 0;
};

// The tensors of a file in the order of their data. Everything that the file alone can show is checked: the header's
// length (at most 100 MB, and within the file), its JSON, names given twice, dtypes, shapes whose byte count
// overflows or differs from the offsets', and that the tensors fill the rest of the file without gap or overlap.
// Reads the header only. INVALID_ARGUMENT: the message names the file, the tensor and what was expected.
absl::StatusOr<std::vector<SafetensorsEntry>> ReadSafetensorsHeader(const ReadableFile& file);

}  // namespace petit::checkpoint

#endif  // PETIT_MODELS_CHECKPOINT_SAFETENSORS_H_
