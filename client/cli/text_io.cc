#include "client/cli/text_io.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace petit::cli {

class LineReader::Source {
 public:
  Source(int fd, std::array<int, 2> stop_fds) : fd_(fd), stop_fds_(stop_fds) {}

  absl::StatusOr<std::string_view> Read() {
    pollfd polled[3] = {{.fd = fd_, .events = POLLIN, .revents = 0},
                        {.fd = stop_fds_[0], .events = POLLIN, .revents = 0},
                        {.fd = stop_fds_[1], .events = POLLIN, .revents = 0}};
    while (true) {
      if (poll(polled, 3, -1) < 0) {
        if (errno == EINTR) continue;
        return absl::ErrnoToStatus(errno, "cannot wait for input");
      }
      if (polled[1].revents != 0 || polled[2].revents != 0) return absl::CancelledError("interrupted");
      const ssize_t count = read(fd_, chunk_.data(), chunk_.size());
      if (count >= 0) return std::string_view(chunk_.data(), static_cast<std::size_t>(count));
      if (errno != EINTR && errno != EAGAIN) return absl::ErrnoToStatus(errno, "cannot read");
    }
  }

 private:
  const int fd_;
  const std::array<int, 2> stop_fds_;
  std::array<char, 65536> chunk_;
};

LineReader::LineReader(int fd, std::array<int, 2> stop_fds, std::size_t max_line_bytes)
    : lines_([source = std::make_shared<Source>(fd, stop_fds)] { return source->Read(); }, max_line_bytes) {}

absl::StatusOr<std::optional<Line>> LineReader::Next() {
  absl::StatusOr<std::optional<Line>> line = lines_.Next();
  if (absl::IsCancelled(line.status())) return std::nullopt;
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
