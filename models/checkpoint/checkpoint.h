// Checkpoints in the Hugging Face layout: a directory with config.json, model.safetensors (or shards and
// model.safetensors.index.json), spiece.model, and optionally generation_config.json and tokenizer_config.json.
#ifndef PETIT_MODELS_CHECKPOINT_CHECKPOINT_H_
#define PETIT_MODELS_CHECKPOINT_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/t5/config.h"

namespace petit::checkpoint {

enum class DType { kF32, kBF16, kF16 };
std::string_view DTypeName(DType dtype);  // "F32", "BF16", "F16"
std::size_t DTypeSize(DType dtype);       // bytes

// A tensor inside a memory-mapped file, row-major, little-endian. `data` may be unaligned.
struct TensorView {
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  const std::byte* data = nullptr;
  std::size_t bytes = 0;
};

// generation_config.json: what T5's decoding takes from it. Missing fields come from config.json.
struct GenerationConfig {
  std::int32_t decoder_start_token_id = 0;
  std::int32_t pad_token_id = 0;
  std::vector<std::int32_t> eos_token_ids = {1};
};

class Checkpoint {
 public:
  // Opens and validates everything: JSON, offsets, overlaps, gaps, duplicate names, dtypes, byte counts, the names
  // and shapes that config.json asks for, and that every value is finite. Allocates nothing of the tensors' size
  // and leaves no page of them resident. NOT_FOUND: no such directory or file. INVALID_ARGUMENT: anything wrong
  // inside; the message names the file, the tensor, and what was expected. spiece.model is not opened but for the
  // digest: whoever loads the tokenizer says what is wrong with it, or that there is none.
  static absl::StatusOr<Checkpoint> Open(const std::string& directory);

  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  const std::string& directory() const;
  const t5::T5Config& config() const;
  const GenerationConfig& generation_config() const;
  std::string tokenizer_path() const;  // DIRECTORY/spiece.model

  // A tensor of t5::RequiredTensors(config()); it is there, with the shape that the config asks for. Any other name
  // gives an empty view. The views live as long as the checkpoint. The files must not be cut or written meanwhile
  // (reading a page that is gone raises SIGBUS): replace a checkpoint by rename, never in place.
  TensorView tensor(std::string_view name) const;

  // Gives a tensor's pages back to the kernel. They are read again when touched again.
  void Evict(std::string_view name) const;

  std::int64_t bytes_on_disk() const;  // of the safetensors files
  std::int64_t parameters() const;

  // SHA-256, hex, over what results depend on: the values of config.json and generation_config.json that this class
  // gives (dropout_rate apart), the tensors (name, dtype, shape, data, in RequiredTensors' order), spiece.model. The
  // same for the same model, however it is sharded and whoever wrote its JSON.
  const std::string& digest() const;

 private:
  struct Impl;
  explicit Checkpoint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// A tensor to write. `data` is read while writing and not kept.
struct TensorToWrite {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  absl::Span<const std::byte> data;
};

struct WriteOptions {
  std::int64_t max_shard_bytes = std::int64_t{5} << 30;  // larger models are sharded, with an index
  // Copied beside the weights where set: spiece.model, tokenizer_config.json and the like.
  std::vector<std::string> files_to_copy;
};

// Writes a checkpoint that Hugging Face's `T5ForConditionalGeneration.from_pretrained` loads without missing or
// unexpected tensors. `tensors` must be exactly t5::RequiredTensors(config) (any order). The directory appears by
// rename: nobody sees half a model. ALREADY_EXISTS: the directory is there. RESOURCE_EXHAUSTED: disk full.
absl::Status Write(const std::string& directory, const t5::T5Config& config, const GenerationConfig& generation,
                   absl::Span<const TensorToWrite> tensors, const WriteOptions& options = {});

}  // namespace petit::checkpoint

#endif  // PETIT_MODELS_CHECKPOINT_CHECKPOINT_H_
