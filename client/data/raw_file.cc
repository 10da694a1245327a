#include "client/data/raw_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace petit::data {

RawFile::RawFile(std::string path, int fd, int interrupt_fd, bool digest)
    : path_(std::move(path)), fd_(fd), interrupt_fd_(interrupt_fd) {
  if (digest) digest_ = std::make_unique<Sha256Digest>();
}

RawFile::~RawFile() { close(fd_); }

absl::StatusOr<std::unique_ptr<RawFile>> RawFile::Open(const std::string& path, int interrupt_fd, bool digest) {
  // Non-blocking, or opening a pipe would wait for a writer where Ctrl-C is not seen.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  std::unique_ptr<RawFile> file(new RawFile(path, fd, interrupt_fd, digest));
  struct stat status = {};
  if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is a directory; a file is wanted"));
  }
  return file;
}

absl::Status RawFile::CheckInterrupt() const {
  pollfd polled = {.fd = interrupt_fd_, .events = POLLIN, .revents = 0};
  if (interrupt_fd_ >= 0 && poll(&polled, 1, 0) > 0 && polled.revents != 0) return absl::CancelledError("interrupted");
  return absl::OkStatus();
}

absl::StatusOr<std::size_t> RawFile::ReadAt(std::size_t at) {
  while (true) {
    pollfd polled[2] = {{.fd = fd_, .events = POLLIN, .revents = 0},
                        {.fd = interrupt_fd_, .events = POLLIN, .revents = 0}};
    if (poll(polled, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot wait for ", path_));
    }
    if (polled[1].revents != 0) return absl::CancelledError("interrupted");
    const ssize_t count = read(fd_, buffer_.data() + at, buffer_.size() - at);
    if (count >= 0) {
      if (digest_ != nullptr) digest_->Update({buffer_.data() + at, static_cast<std::size_t>(count)});
      return static_cast<std::size_t>(count);
    }
    if (errno != EINTR && errno != EAGAIN) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path_));
  }
}

absl::StatusOr<std::string_view> RawFile::Read() {
  if (peeked_ > 0) return std::string_view(buffer_.data(), std::exchange(peeked_, 0));
  const absl::StatusOr<std::size_t> count = ReadAt(0);
  if (!count.ok()) return count.status();
  return std::string_view(buffer_.data(), *count);
}

absl::StatusOr<std::string_view> RawFile::Peek(std::size_t count) {
  while (peeked_ < count) {
    const absl::StatusOr<std::size_t> more = ReadAt(peeked_);
    if (!more.ok()) return more.status();
    if (*more == 0) break;
    peeked_ += *more;
  }
  return std::string_view(buffer_.data(), peeked_);
}

absl::StatusOr<std::string> RawFile::Sha256() {
  if (digest_ == nullptr) return absl::FailedPreconditionError(absl::StrCat(path_, " was opened without a digest"));
  return digest_->Finish();
}

}  // namespace petit::data
