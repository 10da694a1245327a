// write_checkpoint FROM TO [MAX_SHARD_BYTES]: opens a checkpoint, writes it again, and prints its digest.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/types/span.h"
#include "models/checkpoint/checkpoint.h"
#include "models/t5/tensors.h"

namespace petit::checkpoint {
namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}

int Copy(const std::string& from, const std::string& to, std::int64_t max_shard_bytes) {
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(from);
  if (!checkpoint.ok()) return Fail(checkpoint.status());
  std::vector<TensorToWrite> tensors;
  for (const t5::TensorSpec& spec : t5::RequiredTensors(checkpoint->config())) {
    const TensorView view = checkpoint->tensor(spec.name);
    tensors.push_back({.name = spec.name,
                       .dtype = view.dtype,
                       .shape = view.shape,
                       .data = absl::MakeConstSpan(view.data, view.bytes)});
  }
  WriteOptions options;
  if (max_shard_bytes > 0) options.max_shard_bytes = max_shard_bytes;
  if (std::filesystem::exists(checkpoint->tokenizer_path())) {
    options.files_to_copy.push_back(checkpoint->tokenizer_path());
  }
  const absl::Status status = Write(to, checkpoint->config(), checkpoint->generation_config(), tensors, options);
  if (!status.ok()) return Fail(status);
  std::printf("%s\n", checkpoint->digest().c_str());
  return 0;
}

}  // namespace
}  // namespace petit::checkpoint

int main(int argc, char** argv) {
  std::int64_t max_shard_bytes = 0;
  if (argc < 3 || argc > 4 || (argc == 4 && (!absl::SimpleAtoi(argv[3], &max_shard_bytes) || max_shard_bytes <= 0))) {
    std::fprintf(stderr, "usage: write_checkpoint FROM TO [MAX_SHARD_BYTES]\n");
    return 2;
  }
  return petit::checkpoint::Copy(argv[1], argv[2], max_shard_bytes);
}
