// Records of comma-separated values.
#ifndef PETIT_CLIENT_DATA_CSV_READER_H_
#define PETIT_CLIENT_DATA_CSV_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace petit::data {

struct CsvRecord {
  std::int64_t line = 0;  // where it begins, from 1
  std::vector<std::string> fields;
};

// RFC 4180: a quoted field may hold commas, line breaks and, doubled, quotes. Lines end with "\n" or "\r\n"; empty ones
// are skipped, and so is a byte order mark at the start. A record has at most 1 MiB. In bounded memory.
class CsvReader {
 public:
  // Some more bytes, valid until the next call; none at the end.
  using Source = std::function<absl::StatusOr<std::string_view>()>;

  // `path`: for errors.
  CsvReader(std::string path, Source source);

  // The next record, or nothing at the end. INVALID_ARGUMENT, with file and line: it breaks the rules. Else the
  // source's errors.
  [[nodiscard]] absl::StatusOr<std::optional<CsvRecord>> Next();

 private:
  static constexpr int kEnd = -1;

  // The next byte or kEnd, which is not taken yet.
  absl::StatusOr<int> Peek();
  absl::StatusOr<int> Take();
  // Of one field the text is appended; returns what ended it: a comma, a line break or kEnd.
  absl::StatusOr<int> ReadField(std::string* text);
  absl::Status ReadQuoted(std::string* text);
  absl::Status Append(char c, std::string* text);
  [[nodiscard]] absl::Status Bad(std::int64_t line, const std::string& what) const;

  const std::string path_;
  const Source source_;
  std::string_view bytes_;
  bool at_end_ = false;
  bool started_ = false;
  std::int64_t line_ = 1;
  std::size_t record_bytes_ = 0;
};

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_CSV_READER_H_
