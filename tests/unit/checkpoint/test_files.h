// Checkpoint files made by hand, whole ones and broken ones: no code of the library writes them.
#ifndef PETIT_TESTS_UNIT_CHECKPOINT_TEST_FILES_H_
#define PETIT_TESTS_UNIT_CHECKPOINT_TEST_FILES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/checkpoint/checkpoint.h"
#include "models/t5/config.h"

namespace petit::checkpoint {

// A directory that goes with the test.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void WriteFile(const std::string& path, std::string_view bytes);
std::string ReadFile(const std::string& path);

// A tensor as it lies in a file. `data` is little-endian.
struct RawTensor {
  std::string name;
  std::string dtype = "F32";
  std::vector<std::int64_t> shape;
  std::string data;
};

// One block in each stack; d_kv * num_heads is not d_model.
t5::T5Config TinyConfig(bool tied = true);
std::string TinyConfigText(bool tied = true);

// The tensors of `config` with values that differ everywhere: element i of tensor t is about t + i / 64.
std::vector<RawTensor> TinyTensors(const t5::T5Config& config, DType dtype = DType::kF32);

// 16 bits of a float: the upper half (bf16), or fp16 by rounding toward zero (values of fp16's normal range only).
std::uint16_t ToBf16(float value);
std::uint16_t ToF16(float value);

// "NAME": {"dtype": ..., "shape": ..., "data_offsets": [begin, end]}
std::string EntryText(const RawTensor& tensor, std::uint64_t begin, std::uint64_t end);

// A file of the given header and data, whether they make sense or not.
std::string SafetensorsBytes(std::string_view header, std::string_view data);
// A sound file of these tensors, in their order.
std::string SafetensorsBytes(const std::vector<RawTensor>& tensors);

// A whole checkpoint in the existing directory `path`: one file, or `shards` of them with an index.
void WriteTinyCheckpoint(const std::string& path, const std::string& config_text, const std::vector<RawTensor>& tensors,
                         int shards = 1);

// `tensors` as Write takes them: views of their data.
std::vector<TensorToWrite> ToWrite(const std::vector<RawTensor>& tensors);

}  // namespace petit::checkpoint

#endif  // PETIT_TESTS_UNIT_CHECKPOINT_TEST_FILES_H_
