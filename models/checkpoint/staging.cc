#include "models/checkpoint/staging.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <random>
#include <string>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "models/checkpoint/file.h"

namespace petit::checkpoint {
namespace {

absl::Status AlreadyExists(const std::string& target) {
  return absl::AlreadyExistsError(absl::StrCat(target, ": exists already; a checkpoint is never overwritten"));
}

// rename() that leaves an existing target alone, an empty directory included. Errno, or 0.
int RenameNew(const std::string& from, const std::string& to) {
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // This file system (NFS, for one) knows no such rename. What is left of the race: an empty directory made between
  // these two calls is replaced.
  struct stat info;
  if (lstat(to.c_str(), &info) == 0) return EEXIST;
  return rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

StagingDirectory::StagingDirectory(StagingDirectory&& other) noexcept
    : parent_(std::move(other.parent_)),
      target_(std::move(other.target_)),
      path_(std::exchange(other.path_, std::string())) {}

StagingDirectory::~StagingDirectory() {
  if (path_.empty()) return;
  std::error_code ignored;  // nothing more can be done here
  std::filesystem::remove_all(path_, ignored);
}

absl::StatusOr<StagingDirectory> StagingDirectory::Create(const std::string& target) {
  std::filesystem::path normal = std::filesystem::path(target).lexically_normal();
  if (normal.filename().empty()) normal = normal.parent_path();  // DIRECTORY/
  const std::string name = normal.filename();
  if (name.empty() || name == "." || name == "..") {
    return absl::InvalidArgumentError(absl::StrCat("'", target, "': expected the path of a new directory"));
  }
  const std::string parent = normal.has_parent_path() ? normal.parent_path().string() : ".";
  struct stat info;
  if (lstat(normal.c_str(), &info) == 0) return AlreadyExists(normal);

  std::random_device random;
  for (;;) {
    std::string path = absl::StrFormat("%s/.%s.tmp-%08x%08x", parent, name, random(), random());
    if (mkdir(path.c_str(), 0777) == 0) return StagingDirectory(parent, normal, std::move(path));
    if (errno != EEXIST) return ErrnoStatus(errno, path, "create the directory");
  }
}

absl::Status StagingDirectory::Publish() {
  if (auto status = SyncDirectory(path_); !status.ok()) return status;
  const int error = RenameNew(path_, target_);
  if (error == EEXIST || error == ENOTEMPTY) return AlreadyExists(target_);
  if (error != 0) return ErrnoStatus(error, target_, "rename to");
  path_.clear();
  return SyncDirectory(parent_);
}

}  // namespace petit::checkpoint
