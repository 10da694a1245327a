#include "server/jobs/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "server/jobs/descriptor.h"

namespace petit::serving {
namespace {

namespace fs = std::filesystem;

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
}

absl::Status Failed(absl::string_view what, const std::string& path, const std::error_code& error) {
  return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot ", what, " ", path));
}

std::string ParentOf(const std::string& path) { return fs::path(path).parent_path().string(); }

bool WriteAll(int descriptor, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

absl::Status Sync(const std::string& path, int flags) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | flags));
  if (file.get() < 0 || fsync(file.get()) != 0) return Failed("sync", path);
  return absl::OkStatus();
}

absl::Status SyncDirectory(const std::string& path) { return Sync(path, O_DIRECTORY); }

absl::Status CopyFile(const std::string& from, const std::string& to) {
  const Descriptor source(open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (source.get() < 0) return Failed("read", from);
  Descriptor target(open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (target.get() < 0) return Failed("create", to);
  std::string buffer(1 << 20, '\0');
  while (true) {
    const ssize_t size = read(source.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Failed("read", from);
    if (size == 0) break;
    if (!WriteAll(target.get(), absl::string_view(buffer.data(), static_cast<std::size_t>(size)))) {
      return Failed("write", to);
    }
  }
  if (fsync(target.get()) != 0 || !target.Close()) return Failed("write", to);
  return absl::OkStatus();
}

absl::Status LinkOrCopy(const std::string& from, const std::string& to) {
  // Whoever wrote it may not have synced it.
  if (link(from.c_str(), to.c_str()) == 0) return Sync(to, 0);
  if (errno != EXDEV && errno != EPERM && errno != EMLINK && errno != ENOTSUP && errno != ENOSYS) {
    return Failed("link", absl::StrCat(from, " to ", to));
  }
  return CopyFile(from, to);
}

}  // namespace

absl::Status MakeDirectories(const std::string& path) {
  if (mkdir(path.c_str(), 0755) == 0) return SyncDirectory(ParentOf(path));
  if (errno == EEXIST) {
    std::error_code error;
    if (fs::is_directory(path, error)) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(path, " is no directory"));
  }
  if (errno != ENOENT) return Failed("create", path);
  const std::string parent = ParentOf(path);
  if (parent == path || parent.empty()) return Failed("create", path);
  if (absl::Status status = MakeDirectories(parent); !status.ok()) return status;
  return MakeDirectories(path);
}

absl::Status MakeNewDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0755) != 0) return Failed("create", path);
  return SyncDirectory(ParentOf(path));
}

absl::Status WriteFileDurably(const std::string& path, absl::string_view text) {
  const std::string temporary = absl::StrCat(path, ".tmp");
  absl::Status status = [&] {
    Descriptor file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.get() < 0) return Failed("create", temporary);
    if (!WriteAll(file.get(), text) || fsync(file.get()) != 0 || !file.Close()) return Failed("write", temporary);
    if (std::rename(temporary.c_str(), path.c_str()) != 0) return Failed("replace", path);
    return absl::OkStatus();
  }();
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  return SyncDirectory(ParentOf(path));
}

absl::Status MoveDurably(const std::string& from, const std::string& to) {
  struct stat there {};
  if (lstat(to.c_str(), &there) == 0 && !S_ISDIR(there.st_mode)) {
    return absl::AlreadyExistsError(absl::StrCat(to, " is there already"));
  }
  // Fails on a directory that holds something, which is what matters of "must not be there".
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    if (errno == ENOTEMPTY || errno == EEXIST) return absl::AlreadyExistsError(absl::StrCat(to, " is there already"));
    return Failed("move", absl::StrCat(from, " to ", to));
  }
  if (absl::Status status = SyncDirectory(ParentOf(to)); !status.ok()) return status;
  return SyncDirectory(ParentOf(from));
}

absl::Status CopyTree(const std::string& from, const std::string& to) {
  if (mkdir(to.c_str(), 0755) != 0) return Failed("create", to);
  std::error_code error;
  for (fs::directory_iterator entry(from, error), end; !error && entry != end; entry.increment(error)) {
    const std::string source = entry->path().string();
    const std::string target = absl::StrCat(to, "/", entry->path().filename().string());
    const fs::file_status kind = entry->symlink_status(error);
    if (error) return Failed("read", source, error);
    if (!fs::is_directory(kind) && !fs::is_regular_file(kind)) {
      return absl::InvalidArgumentError(absl::StrCat(source, " is neither a file nor a directory"));
    }
    absl::Status status = fs::is_directory(kind) ? CopyTree(source, target) : LinkOrCopy(source, target);
    if (!status.ok()) return status;
  }
  if (error) return Failed("read", from, error);
  return SyncDirectory(to);
}

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return Failed("remove", path, error);
  return absl::OkStatus();
}

bool IsDirectory(const std::string& path) {
  std::error_code error;
  return fs::symlink_status(path, error).type() == fs::file_type::directory;
}

absl::StatusOr<std::string> ReadSmallFile(const std::string& path, std::size_t limit) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.get() < 0) return Failed("read", path);
  std::string text;
  std::array<char, 4096> buffer;
  while (text.size() <= limit) {
    const ssize_t size = read(file.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Failed("read", path);
    if (size == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return absl::InvalidArgumentError(absl::StrCat(path, " is longer than ", limit, " bytes"));
}

std::string ReadFileEnd(const std::string& path, std::int64_t bytes) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info {};
  if (file.get() < 0 || fstat(file.get(), &info) != 0) return "";
  std::string text(static_cast<std::size_t>(std::min<std::int64_t>(info.st_size, bytes)), '\0');
  const ssize_t size = pread(file.get(), text.data(), text.size(), info.st_size - static_cast<off_t>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  return text;
}

}  // namespace petit::serving
