// Lines of a stream of bytes.
#ifndef PETIT_CLIENT_DATA_LINE_READER_H_
#define PETIT_CLIENT_DATA_LINE_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace petit::data {

inline constexpr std::size_t kMaxLineBytes = std::size_t{1} << 20;

struct Line {
  std::int64_t number = 0;  // from 1
  std::string text;         // without "\n" or "\r\n"; without a byte order mark in line 1
  std::int64_t bytes = 0;   // in the stream, its end included
  bool too_long = false;    // text is empty then
};

// In bounded memory. The last line need not have an end.
class LineReader {
 public:
  // Some more bytes, valid until the next call; none at the end.
  using Source = std::function<absl::StatusOr<std::string_view>()>;

  explicit LineReader(Source source, std::size_t max_line_bytes = kMaxLineBytes);

  // The next line, or nothing at the end. Errors are the source's; the line that they cut is dropped.
  [[nodiscard]] absl::StatusOr<std::optional<Line>> Next();

 private:
  absl::StatusOr<bool> Fill();

  const Source source_;
  const std::size_t max_line_bytes_;
  std::string buffer_;
  std::size_t position_ = 0;
  bool at_end_ = false;
  std::int64_t number_ = 0;
};

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_LINE_READER_H_
