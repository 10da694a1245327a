// Reading lines and writing texts.
#ifndef PETIT_CLIENT_CLI_TEXT_IO_H_
#define PETIT_CLIENT_CLI_TEXT_IO_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace petit::cli {

// Byte offset of the first byte that does not belong to valid UTF-8 (RFC 3629: no overlong forms, no surrogates, at
// most U+10FFFF), or nothing.
std::optional<std::size_t> FindInvalidUtf8(std::string_view text);

// Empty, or ASCII white space only.
bool IsBlank(std::string_view text);

// A line of output cannot hold a line break: each becomes a space.
std::string OnOneLine(std::string text);

struct Line {
  std::int64_t number = 0;  // from 1
  std::string text;         // without "\n" or "\r\n"; without a byte order mark in line 1
  std::int64_t bytes = 0;   // in the file, its end included
  bool too_long = false;    // text is empty then
};

// Lines of a file descriptor, in bounded memory. The last line need not have an end. An owner of the descriptor closes
// it.
class LineReader {
 public:
  // Once one of `stop_fds` is readable, input ends (-1 never is).
  explicit LineReader(int fd, std::array<int, 2> stop_fds = {-1, -1},
                      std::size_t max_line_bytes = std::size_t{1} << 20);

  // The next line, or nothing at the end. An error of read(2), with its reason.
  absl::StatusOr<std::optional<Line>> Next();

 private:
  absl::StatusOr<bool> Fill();

  const int fd_;
  const std::array<int, 2> stop_fds_;
  const std::size_t max_line_bytes_;
  std::string buffer_;
  std::size_t position_ = 0;
  bool at_end_ = false;
  std::int64_t number_ = 0;
};

// A file opened for reading, closed with it. "-" is `standard_input`.
class InputFile {
 public:
  static absl::StatusOr<InputFile> Open(const std::string& path, int standard_input = 0);
  // Takes a descriptor over.
  static InputFile Adopt(int fd) { return {fd, true, 0}; }
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  ~InputFile();

  [[nodiscard]] int fd() const { return fd_; }
  // Bytes of a regular file; 0: not known.
  [[nodiscard]] std::int64_t size() const { return size_; }

 private:
  InputFile(int fd, bool owned, std::int64_t size) : fd_(fd), owned_(owned), size_(size) {}

  int fd_;
  bool owned_;
  std::int64_t size_;
};

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_TEXT_IO_H_
