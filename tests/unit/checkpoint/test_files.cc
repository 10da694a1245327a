#include "tests/unit/checkpoint/test_files.h"

#include <stdlib.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "models/t5/tensors.h"

namespace petit::checkpoint {

TempDir::TempDir() : path_((std::filesystem::temp_directory_path() / "petit-test-XXXXXX").string()) {
  if (mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "mkdtemp " << path_;
}

TempDir::~TempDir() { std::filesystem::remove_all(path_); }

void WriteFile(const std::string& path, std::string_view bytes) {
  // A new file, not the old one cut: file systems write the latter to the disk at once, which takes milliseconds.
  std::filesystem::remove(path);
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) ADD_FAILURE() << "cannot write " << path;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) ADD_FAILURE() << "cannot read " << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

t5::T5Config TinyConfig(bool tied) {
  t5::T5Config config;
  config.vocab_size = 7;
  config.d_model = 3;
  config.d_kv = 2;
  config.d_ff = 5;
  config.num_layers = 1;
  config.num_decoder_layers = 1;
  config.num_heads = 2;
  config.relative_attention_num_buckets = 4;
  config.relative_attention_max_distance = 8;
  config.tie_word_embeddings = tied;
  return config;
}

std::string TinyConfigText(bool tied) {
  return absl::StrCat(R"({"model_type": "t5", "vocab_size": 7, "d_model": 3, "d_kv": 2, "d_ff": 5, "num_layers": 1,
    "num_heads": 2, "relative_attention_num_buckets": 4, "relative_attention_max_distance": 8,
    "feed_forward_proj": "relu", "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1,
    "tie_word_embeddings": )",
                      tied ? "true" : "false", "}");
}

std::uint16_t ToBf16(float value) { return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16); }

std::uint16_t ToF16(float value) {
  if (value == 0.0f) return 0;
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t exponent = (bits >> 23 & 0xff) - 127 + 15;
  return static_cast<std::uint16_t>((bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 0x3ff));
}

std::vector<RawTensor> TinyTensors(const t5::T5Config& config, DType dtype) {
  std::vector<RawTensor> tensors;
  for (const t5::TensorSpec& spec : t5::RequiredTensors(config)) {
    RawTensor tensor = {.name = spec.name, .dtype = std::string(DTypeName(dtype)), .shape = spec.shape, .data = {}};
    std::size_t count = 1;
    for (const std::int64_t size : spec.shape) count *= static_cast<std::size_t>(size);
    for (std::size_t i = 0; i < count; ++i) {
      const float value = static_cast<float>(tensors.size()) + static_cast<float>(i) / 64.0f;
      const std::uint16_t half = dtype == DType::kBF16 ? ToBf16(value) : ToF16(value);
      const auto* bytes =
          dtype == DType::kF32 ? reinterpret_cast<const char*>(&value) : reinterpret_cast<const char*>(&half);
      tensor.data.append(bytes, DTypeSize(dtype));
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

std::string EntryText(const RawTensor& tensor, std::uint64_t begin, std::uint64_t end) {
  return absl::StrCat("\"", tensor.name, R"(": {"dtype": ")", tensor.dtype, R"(", "shape": [)",
                      absl::StrJoin(tensor.shape, ", "), R"(], "data_offsets": [)", begin, ", ", end, "]}");
}

std::string SafetensorsBytes(std::string_view header, std::string_view data) {
  const std::uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes.append(header).append(data);
}

std::string SafetensorsBytes(const std::vector<RawTensor>& tensors) {
  std::vector<std::string> entries = {R"("__metadata__": {"format": "pt"})"};
  std::string data;
  for (const RawTensor& tensor : tensors) {
    entries.push_back(EntryText(tensor, data.size(), data.size() + tensor.data.size()));
    data += tensor.data;
  }
  return SafetensorsBytes(absl::StrCat("{", absl::StrJoin(entries, ", "), "}"), data);
}

void WriteTinyCheckpoint(const std::string& path, const std::string& config_text, const std::vector<RawTensor>& tensors,
                         int shards) {
  WriteFile(path + "/config.json", config_text);
  if (shards == 1) {
    WriteFile(path + "/model.safetensors", SafetensorsBytes(tensors));
    return;
  }
  std::vector<std::vector<RawTensor>> split(static_cast<std::size_t>(shards));
  std::map<std::string, std::string> weight_map;
  const auto shard_name = [](std::size_t shard) { return absl::StrCat("shard-", shard, ".safetensors"); };
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    split[i % split.size()].push_back(tensors[i]);
    weight_map[absl::StrCat("\"", tensors[i].name, "\"")] = absl::StrCat("\"", shard_name(i % split.size()), "\"");
  }
  for (std::size_t shard = 0; shard < split.size(); ++shard) {
    WriteFile(path + "/" + shard_name(shard), SafetensorsBytes(split[shard]));
  }
  WriteFile(path + "/model.safetensors.index.json",
            absl::StrCat(R"({"metadata": {"total_size": 1}, "weight_map": {)",
                         absl::StrJoin(weight_map, ", ", absl::PairFormatter(": ")), "}}"));
}

std::vector<TensorToWrite> ToWrite(const std::vector<RawTensor>& tensors) {
  std::vector<TensorToWrite> result;
  for (const RawTensor& tensor : tensors) {
    TensorToWrite view = {
        .name = tensor.name,
        .shape = tensor.shape,
        .data = absl::MakeConstSpan(reinterpret_cast<const std::byte*>(tensor.data.data()), tensor.data.size())};
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      if (tensor.dtype == DTypeName(dtype)) view.dtype = dtype;
    }
    result.push_back(std::move(view));
  }
  return result;
}

}  // namespace petit::checkpoint
