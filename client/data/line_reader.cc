#include "client/data/line_reader.h"

#include <utility>

namespace petit::data {

LineReader::LineReader(Source source, std::size_t max_line_bytes)
    : source_(std::move(source)), max_line_bytes_(max_line_bytes) {}

// Reads some more; false at the end.
absl::StatusOr<bool> LineReader::Fill() {
  if (at_end_) return false;
  buffer_.erase(0, position_);
  position_ = 0;
  const absl::StatusOr<std::string_view> more = source_();
  at_end_ = !more.ok() || more->empty();
  if (!more.ok()) {
    buffer_.clear();  // a line that was cut is not a line
    return more.status();
  }
  buffer_.append(*more);
  return !at_end_;
}

absl::StatusOr<std::optional<Line>> LineReader::Next() {
  Line line;
  std::size_t searched = 0;  // bytes of the buffer known to hold no end
  while (true) {
    const std::size_t end = buffer_.find('\n', position_ + searched);
    const bool found = end != std::string::npos;
    const std::size_t length = (found ? end : buffer_.size()) - position_;
    if (length > max_line_bytes_) line.too_long = true;
    if (found) {
      if (!line.too_long) line.text = buffer_.substr(position_, length);
      line.bytes += static_cast<std::int64_t>(length) + 1;
      position_ = end + 1;
      break;
    }
    if (line.too_long) {  // only its length matters any more
      line.bytes += static_cast<std::int64_t>(length);
      position_ = buffer_.size();
    }
    searched = buffer_.size() - position_;
    const absl::StatusOr<bool> more = Fill();
    if (!more.ok()) return more.status();
    if (*more) continue;
    if (line.bytes == 0 && position_ >= buffer_.size()) return std::nullopt;
    if (!line.too_long) line.text = buffer_.substr(position_);
    line.bytes += static_cast<std::int64_t>(buffer_.size() - position_);
    position_ = buffer_.size();
    break;
  }
  line.number = ++number_;
  if (line.number == 1 && line.text.starts_with("\xEF\xBB\xBF")) line.text.erase(0, 3);
  if (line.text.ends_with('\r')) line.text.pop_back();
  return line;
}

}  // namespace petit::data
