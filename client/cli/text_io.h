// Lines that arrive one by one, and files to take them from.
#ifndef PETIT_CLIENT_CLI_TEXT_IO_H_
#define PETIT_CLIENT_CLI_TEXT_IO_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "client/data/line_reader.h"
#include "client/data/text.h"

namespace petit::cli {

using data::FindInvalidUtf8;
using data::IsBlank;
using data::Line;
using data::OnOneLine;

// Lines of a file descriptor, in bounded memory. The last line need not have an end. An owner of the descriptor closes
// it.
class LineReader {
 public:
  // Once one of `stop_fds` is readable, input ends (-1 never is).
  explicit LineReader(int fd, std::array<int, 2> stop_fds = {-1, -1}, std::size_t max_line_bytes = data::kMaxLineBytes);

  // The next line, or nothing at the end. An error of read(2), with its reason.
  absl::StatusOr<std::optional<Line>> Next();

 private:
  class Source;

  data::LineReader lines_;
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
