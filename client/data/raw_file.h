// The bytes of a file as they lie there.
#ifndef PETIT_CLIENT_DATA_RAW_FILE_H_
#define PETIT_CLIENT_DATA_RAW_FILE_H_

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/data/sha256.h"

namespace petit::data {

class RawFile {
 public:
  // `interrupt_fd`: once it is readable, reading ends with CANCELLED. Pipes are opened without waiting for a writer.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<RawFile>> Open(const std::string& path, int interrupt_fd,
                                                                     bool digest);
  ~RawFile();
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  // Some more bytes, valid until the next call of anything here; nothing at the end.
  [[nodiscard]] absl::StatusOr<std::string_view> Read();
  // The first bytes, at least `count` of them where the file has as many. Before the first Read, which returns them
  // again.
  [[nodiscard]] absl::StatusOr<std::string_view> Peek(std::size_t count);
  [[nodiscard]] absl::Status CheckInterrupt() const;
  // Of all bytes read, in hexadecimal.
  [[nodiscard]] absl::StatusOr<std::string> Sha256();

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  RawFile(std::string path, int fd, int interrupt_fd, bool digest);
  // Reads into the buffer from `at` on; 0 at the end.
  absl::StatusOr<std::size_t> ReadAt(std::size_t at);

  const std::string path_;
  const int fd_;
  const int interrupt_fd_;
  std::unique_ptr<Sha256Digest> digest_;
  std::array<char, 65536> buffer_;
  std::size_t peeked_ = 0;
};

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_RAW_FILE_H_
