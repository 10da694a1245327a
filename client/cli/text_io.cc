#include "client/cli/text_io.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace petit::cli {

std::optional<std::size_t> FindInvalidUtf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  std::size_t i = 0;
  while (i < text.size()) {
    const unsigned lead = byte(i);
    std::size_t length = 1;
    // The second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF.
    unsigned low = 0x80;
    unsigned high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
      length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      length = 3;
      if (lead == 0xE0) low = 0xA0;
      if (lead == 0xED) high = 0x9F;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      length = 4;
      if (lead == 0xF0) low = 0x90;
      if (lead == 0xF4) high = 0x8F;
    } else if (lead >= 0x80) {
      return i;
    }
    if (length > 1 && (byte(i + 1) < low || byte(i + 1) > high)) return i;
    for (std::size_t k = 2; k < length; ++k) {
      if (byte(i + k) < 0x80 || byte(i + k) > 0xBF) return i;
    }
    i += length;
  }
  return std::nullopt;
}

bool IsBlank(std::string_view text) { return text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos; }

std::string OnOneLine(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

LineReader::LineReader(int fd, std::array<int, 2> stop_fds, std::size_t max_line_bytes)
    : fd_(fd), stop_fds_(stop_fds), max_line_bytes_(max_line_bytes) {}

// Reads some more; false at the end.
absl::StatusOr<bool> LineReader::Fill() {
  if (at_end_) return false;
  buffer_.erase(0, position_);
  position_ = 0;
  pollfd polled[3] = {{.fd = fd_, .events = POLLIN, .revents = 0},
                      {.fd = stop_fds_[0], .events = POLLIN, .revents = 0},
                      {.fd = stop_fds_[1], .events = POLLIN, .revents = 0}};
  while (true) {
    if (poll(polled, 3, -1) < 0) {
      if (errno == EINTR) continue;
      return absl::ErrnoToStatus(errno, "cannot wait for input");
    }
    if (polled[1].revents != 0 || polled[2].revents != 0) {
      at_end_ = true;
      buffer_.clear();  // a line that was cut by Ctrl-C is not a line
      return false;
    }
    char chunk[65536];
    const ssize_t count = read(fd_, chunk, sizeof(chunk));
    if (count < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return absl::ErrnoToStatus(errno, "cannot read");
    }
    if (count == 0) {
      at_end_ = true;
      return false;
    }
    buffer_.append(chunk, static_cast<std::size_t>(count));
    return true;
  }
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

absl::StatusOr<InputFile> InputFile::Open(const std::string& path, int standard_input) {
  const bool owned = path != "-";
  const int fd = owned ? open(path.c_str(), O_RDONLY | O_CLOEXEC) : standard_input;
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  struct stat status = {};
  const bool known = fstat(fd, &status) == 0;
  InputFile file(fd, owned, known && S_ISREG(status.st_mode) ? status.st_size : 0);
  if (known && S_ISDIR(status.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is a directory; a file is wanted"));
  }
  return file;
}

InputFile::InputFile(InputFile&& other) noexcept
    : fd_(other.fd_), owned_(std::exchange(other.owned_, false)), size_(other.size_) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(owned_, other.owned_);
  std::swap(size_, other.size_);
  return *this;
}

InputFile::~InputFile() {
  if (owned_) close(fd_);
}

}  // namespace petit::cli
