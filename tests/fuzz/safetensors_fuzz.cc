// A safetensors file's header.
#include "models/checkpoint/safetensors.h"
#include "tests/fuzz/fuzz.h"

using petit::fuzz::Check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static petit::fuzz::MemoryFile& bytes = *new petit::fuzz::MemoryFile;
  bytes.Write(petit::fuzz::Text(data, size));
  const auto file = petit::checkpoint::ReadableFile::Open(bytes.path());
  Check(file.ok(), "any file can be opened", file.status().ToString());
  const auto entries = petit::checkpoint::ReadSafetensorsHeader(*file);
  if (!entries.ok()) {
    Check(absl::IsInvalidArgument(entries.status()) && !entries.status().message().empty(),
          "a bad header is INVALID_ARGUMENT and says why", entries.status().ToString());
    return 0;
  }
  for (std::size_t i = 0; i < entries->size(); ++i) {
    const auto& entry = (*entries)[i];
    Check(entry.begin >= petit::checkpoint::kHeaderLengthBytes && entry.begin <= entry.end && entry.end <= size,
          "tensors lie within the file", entry.name);
    Check(i == 0 || entry.begin == (*entries)[i - 1].end, "tensors follow one another", entry.name);
  }
  Check(entries->empty() || entries->back().end == size, "the last tensor ends with the file");
  return 0;
}
