#include "models/checkpoint/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace petit::checkpoint {
namespace {

template <typename Call>
auto RetryInterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

void CloseQuietly(int descriptor) {
  if (descriptor >= 0) close(descriptor);
}

}  // namespace

absl::Status ErrnoStatus(int error, const std::string& path, absl::string_view action) {
  const std::string message =
      absl::StrCat(path, ": cannot ", action, ": ", std::error_code(error, std::generic_category()).message());
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EEXIST:
    case ENOTEMPTY:
      return absl::AlreadyExistsError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::UnknownError(message);
  }
}

ReadableFile::ReadableFile(std::string path, int descriptor, std::uint64_t size)
    : path_(std::move(path)), descriptor_(descriptor), size_(size) {}

ReadableFile::ReadableFile(ReadableFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}

ReadableFile& ReadableFile::operator=(ReadableFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  return *this;
}

ReadableFile::~ReadableFile() { CloseQuietly(descriptor_); }

absl::StatusOr<ReadableFile> ReadableFile::Open(const std::string& path) {
  // Without O_NONBLOCK a pipe would wait here for its writer.
  const int descriptor = RetryInterrupted([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
  if (descriptor < 0) return ErrnoStatus(errno, path, "open");
  ReadableFile file(path, descriptor, 0);
  struct stat info;
  if (fstat(descriptor, &info) != 0) return ErrnoStatus(errno, path, "stat");
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(absl::StrCat(path, ": is not a regular file"));
  file.size_ = static_cast<std::uint64_t>(info.st_size);
  return file;
}

absl::Status ReadableFile::ReadAt(std::uint64_t offset, absl::Span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got =
        RetryInterrupted([&] { return pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset)); });
    if (got < 0) return ErrnoStatus(errno, path_, "read");
    if (got == 0) {
      return absl::InvalidArgumentError(absl::StrCat(path_, ": ends at byte ", offset, "; it had ", size_,
                                                     " bytes when it was opened and was cut while being read"));
    }
    offset += static_cast<std::uint64_t>(got);
    out.remove_prefix(static_cast<std::size_t>(got));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path, std::uint64_t max_bytes) {
  absl::StatusOr<ReadableFile> file = ReadableFile::Open(path);
  if (!file.ok()) return file.status();
  if (file->size() > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": has ", file->size(), " bytes; at most ", max_bytes, " are allowed"));
  }
  std::string text(file->size(), '\0');
  const absl::Status status = file->ReadAt(0, absl::MakeSpan(reinterpret_cast<std::byte*>(text.data()), text.size()));
  if (!status.ok()) return status;
  return text;
}

absl::StatusOr<Mapping> Mapping::Map(const ReadableFile& file) {
  if (file.size() == 0) return absl::InvalidArgumentError(absl::StrCat(file.path(), ": is empty"));
  void* data = mmap(nullptr, file.size(), PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (data == MAP_FAILED) return ErrnoStatus(errno, file.path(), "map");
  return Mapping(static_cast<std::byte*>(data), file.size());
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

void Mapping::Evict(const std::byte* begin, std::size_t bytes) const {
  if (bytes == 0) return;
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t first = static_cast<std::size_t>(begin - data_) / page * page;
  const std::size_t last = static_cast<std::size_t>(begin - data_) + bytes;
  // Advice: where the kernel declines, the pages stay, and nothing else changes.
  (void)madvise(data_ + first, last - first, MADV_DONTNEED);
}

WritableFile::WritableFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

WritableFile::WritableFile(WritableFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

WritableFile& WritableFile::operator=(WritableFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

WritableFile::~WritableFile() { CloseQuietly(descriptor_); }

absl::StatusOr<WritableFile> WritableFile::Create(const std::string& path) {
  const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_EXCL;
  const int descriptor = RetryInterrupted([&] { return open(path.c_str(), flags, 0666); });
  if (descriptor < 0) return ErrnoStatus(errno, path, "create");
  return WritableFile(path, descriptor);
}

absl::Status WritableFile::Append(absl::Span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t put = RetryInterrupted([&] { return write(descriptor_, data.data(), data.size()); });
    if (put < 0) return ErrnoStatus(errno, path_, "write");
    data.remove_prefix(static_cast<std::size_t>(put));
  }
  return absl::OkStatus();
}

absl::Status WritableFile::Append(absl::string_view text) {
  return Append(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(text.data()), text.size()));
}

absl::Status WritableFile::Close() {
  const int descriptor = std::exchange(descriptor_, -1);
  const bool synced = fsync(descriptor) == 0;
  const int sync_error = errno;
  const bool closed = close(descriptor) == 0;
  if (!synced) return ErrnoStatus(sync_error, path_, "sync");
  if (!closed) return ErrnoStatus(errno, path_, "close");
  return absl::OkStatus();
}

absl::Status SyncDirectory(const std::string& path) {
  const int descriptor = RetryInterrupted([&] { return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (descriptor < 0) return ErrnoStatus(errno, path, "open");
  const bool synced = fsync(descriptor) == 0;
  const int error = errno;
  close(descriptor);
  if (!synced) return ErrnoStatus(error, path, "sync");
  return absl::OkStatus();
}

}  // namespace petit::checkpoint
