// Files as a checkpoint needs them: positioned reads, a read-only mapping, writes that report a full disk. Internal
// to this folder.
#ifndef PETIT_MODELS_CHECKPOINT_FILE_H_
#define PETIT_MODELS_CHECKPOINT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace petit::checkpoint {

// `errno` of a call on `path` as a status: ENOENT NOT_FOUND, EEXIST ALREADY_EXISTS, EACCES PERMISSION_DENIED; a full
// disk, an exhausted quota and a file size limit RESOURCE_EXHAUSTED; else UNKNOWN. "PATH: cannot ACTION: REASON".
absl::Status ErrnoStatus(int error, const std::string& path, absl::string_view action);

// A regular file open for reading; its size is the one at opening.
class ReadableFile {
 public:
  // NOT_FOUND: no such file. INVALID_ARGUMENT: a directory, pipe or device.
  static absl::StatusOr<ReadableFile> Open(const std::string& path);

  ReadableFile(ReadableFile&& other) noexcept;
  ReadableFile& operator=(ReadableFile&& other) noexcept;
  ~ReadableFile();

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  int descriptor() const { return descriptor_; }

  // Fills `out` from `offset`. INVALID_ARGUMENT: the file has become shorter.
  absl::Status ReadAt(std::uint64_t offset, absl::Span<std::byte> out) const;

 private:
  ReadableFile(std::string path, int descriptor, std::uint64_t size);
  std::string path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

// The whole file as text. INVALID_ARGUMENT: longer than `max_bytes`.
absl::StatusOr<std::string> ReadTextFile(const std::string& path, std::uint64_t max_bytes);

// A file, mapped read-only. Reading a page that somebody cut off the file afterwards raises SIGBUS; no reader of a
// mapping can prevent that. Replace checkpoints by rename, never in place: a mapping keeps the old file alive.
class Mapping {
 public:
  static absl::StatusOr<Mapping> Map(const ReadableFile& file);

  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  const std::byte* data() const { return data_; }

  // Gives back the pages that the range touches; they are read from the file again when needed.
  void Evict(const std::byte* begin, std::size_t bytes) const;

 private:
  Mapping(std::byte* data, std::size_t bytes) : data_(data), bytes_(bytes) {}
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// A file being written. Every error leaves it to the caller to remove the file.
class WritableFile {
 public:
  // ALREADY_EXISTS: the path exists.
  static absl::StatusOr<WritableFile> Create(const std::string& path);

  WritableFile(WritableFile&& other) noexcept;
  WritableFile& operator=(WritableFile&& other) noexcept;
  ~WritableFile();

  absl::Status Append(absl::Span<const std::byte> data);
  absl::Status Append(absl::string_view text);

  // Waits for the disk and closes. A full disk may show only here.
  absl::Status Close();

 private:
  WritableFile(std::string path, int descriptor);
  std::string path_;
  int descriptor_ = -1;
};

// Makes the entries of a directory durable.
absl::Status SyncDirectory(const std::string& path);

}  // namespace petit::checkpoint

#endif  // PETIT_MODELS_CHECKPOINT_FILE_H_
