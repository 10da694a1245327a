#include "client/data/csv_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/data/line_reader.h"

namespace petit::data {

CsvReader::CsvReader(std::string path, Source source) : path_(std::move(path)), source_(std::move(source)) {}

absl::Status CsvReader::Bad(std::int64_t line, const std::string& what) const {
  return absl::InvalidArgumentError(absl::StrCat(path_, ":", line, ": ", what));
}

absl::StatusOr<int> CsvReader::Peek() {
  if (bytes_.empty() && !at_end_) {
    const absl::StatusOr<std::string_view> more = source_();
    if (!more.ok()) return more.status();
    bytes_ = *more;
    at_end_ = bytes_.empty();
  }
  return bytes_.empty() ? kEnd : static_cast<unsigned char>(bytes_.front());
}

absl::StatusOr<int> CsvReader::Take() {
  absl::StatusOr<int> byte = Peek();
  if (!byte.ok() || *byte == kEnd) return byte;
  bytes_.remove_prefix(1);
  if (*byte == '\n') ++line_;
  return byte;
}

absl::Status CsvReader::Append(char c, std::string* text) {
  if (c == '\0') return Bad(line_, "the line holds a NUL; UTF-8 text is wanted");
  if (++record_bytes_ > kMaxLineBytes) {
    return Bad(line_, "the record is longer than 1 MiB; is a closing quote missing?");
  }
  text->push_back(c);
  return absl::OkStatus();
}

// After the opening quote, up to the closing one.
absl::Status CsvReader::ReadQuoted(std::string* text) {
  const std::int64_t began = line_;
  while (true) {
    const absl::StatusOr<int> byte = Take();
    if (!byte.ok()) return byte.status();
    if (*byte == kEnd) return Bad(began, "the quote that is opened here is never closed");
    if (*byte == '"') {
      const absl::StatusOr<int> next = Peek();
      if (!next.ok()) return next.status();
      if (*next != '"') return absl::OkStatus();
      (void)Take();
    }
    if (absl::Status status = Append(static_cast<char>(*byte), text); !status.ok()) return status;
  }
}

absl::StatusOr<int> CsvReader::ReadField(std::string* text) {
  absl::StatusOr<int> byte = Peek();
  bool quoted = false;
  if (byte.ok() && *byte == '"') {
    quoted = true;
    (void)Take();
    if (absl::Status status = ReadQuoted(text); !status.ok()) return status;
  }
  while (true) {
    const std::int64_t line = line_;
    byte = Take();
    if (!byte.ok() || *byte == kEnd || *byte == ',' || *byte == '\n') return byte;
    if (*byte == '\r') {
      const absl::StatusOr<int> next = Peek();
      if (!next.ok()) return next.status();
      if (*next == '\n') return Take();
      if (*next == kEnd) return kEnd;
    }
    if (quoted) return Bad(line, "there is text behind a closing quote; a quote inside a field is written twice");
    if (*byte == '"') return Bad(line, "there is a quote in a field that does not begin with one");
    if (absl::Status status = Append(static_cast<char>(*byte), text); !status.ok()) return status;
  }
}

absl::StatusOr<std::optional<CsvRecord>> CsvReader::Next() {
  while (true) {
    CsvRecord record{.line = line_, .fields = {}};
    record_bytes_ = 0;
    const absl::StatusOr<int> first = Peek();
    if (!first.ok()) return first.status();
    if (*first == kEnd) return std::nullopt;
    if (!std::exchange(started_, true) && *first == 0xEF) {
      std::string mark;
      while (mark.size() < 3) {
        const absl::StatusOr<int> byte = Take();
        if (!byte.ok()) return byte.status();
        if (*byte == kEnd) break;
        mark.push_back(static_cast<char>(*byte));
      }
      if (mark != "\xEF\xBB\xBF") return Bad(1, "the first line does not begin with text or a byte order mark");
    }
    int end = ',';
    while (end == ',') {
      const absl::StatusOr<int> next = ReadField(&record.fields.emplace_back());
      if (!next.ok()) return next.status();
      end = *next;
    }
    // A line that is empty, without so much as quotes.
    if (record.fields.size() == 1 && record.fields[0].empty()) continue;
    return record;
  }
}

}  // namespace petit::data
