// The bytes of a file, whatever it is compressed with.
#ifndef PETIT_CLIENT_DATA_INPUT_FILE_H_
#define PETIT_CLIENT_DATA_INPUT_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace petit::data {

struct InputFileOptions {
  int interrupt_fd = -1;  // readable: reading ends with CANCELLED
  bool digest = false;    // for Finish
};

// Plain, gzip, xz and zstd, told apart by content. In bounded memory. Errors name the file. DATA_LOSS: compressed, and
// damaged or cut off. Not thread-safe.
class InputFile {
 public:
  // NOT_FOUND, PERMISSION_DENIED ... as open(2); INVALID_ARGUMENT: a directory, or a container of another kind (zip,
  // Parquet). Waits until a pipe has its first bytes.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<InputFile>> Open(const std::string& path,
                                                                       const InputFileOptions& options = {});
  virtual ~InputFile() = default;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  // Some more of what the file holds, valid until the next call; nothing at the end.
  [[nodiscard]] virtual absl::StatusOr<std::string_view> Read() = 0;
  // Reads what is left and returns the SHA-256 of the file as it lies there, in hexadecimal.
  [[nodiscard]] virtual absl::StatusOr<std::string> Finish() = 0;

 protected:
  InputFile() = default;
};

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_INPUT_FILE_H_
