#include "server/registry/version_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace petit::serving {
namespace {

// A positive number as ListVersions and SERVED_VERSION write it: "7", not "+7" or "07".
std::optional<std::int64_t> ParseVersion(absl::string_view text) {
  std::int64_t version = 0;
  if (!absl::SimpleAtoi(text, &version) || version < 1 || absl::StrCat(version) != text) return std::nullopt;
  return version;
}

// Closes on every way out; Close() tells the error that only close() may learn.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { Close(); }

  int get() const { return descriptor_; }
  bool Close() {
    if (descriptor_ < 0) return true;
    const int result = close(descriptor_);
    descriptor_ = -1;
    return result == 0;
  }

 private:
  int descriptor_;
};

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
}

bool WriteAll(int descriptor, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

absl::Status WriteDurably(const std::string& path, absl::string_view text) {
  File file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (file.get() < 0) return Failed("create", path);
  if (!WriteAll(file.get(), text) || fsync(file.get()) != 0 || !file.Close()) return Failed("write", path);
  return absl::OkStatus();
}

}  // namespace

std::string VersionDirectory(const std::string& versions_root, std::int64_t version) {
  return absl::StrCat(versions_root, "/", version);
}

bool IsVersion(const std::string& versions_root, std::int64_t version) {
  std::error_code error;
  return version > 0 && std::filesystem::exists(VersionDirectory(versions_root, version) + "/config.json", error);
}

std::vector<std::int64_t> ListVersions(const std::string& versions_root) {
  std::vector<std::int64_t> versions;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(versions_root, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::optional<std::int64_t> version = ParseVersion(entry->path().filename().string());
    if (version.has_value() && IsVersion(versions_root, *version)) versions.push_back(*version);
  }
  std::sort(versions.begin(), versions.end());
  return versions;
}

absl::StatusOr<std::int64_t> ReadServedVersion(const std::string& versions_root) {
  const std::string path = absl::StrCat(versions_root, "/", kServedVersionFile);
  const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 && (errno == ENOENT || errno == ENOTDIR)) return absl::NotFoundError(path);
  if (file.get() < 0) return Failed("read", path);
  std::array<char, 64> buffer;  // no number is longer
  const ssize_t size = read(file.get(), buffer.data(), buffer.size());
  if (size < 0) return Failed("read", path);
  const absl::string_view text(buffer.data(), static_cast<std::size_t>(size));
  const std::optional<std::int64_t> version = ParseVersion(absl::StripAsciiWhitespace(text));
  if (!version.has_value()) {
    return absl::DataLossError(
        absl::StrCat(path, " does not hold a version number; delete it or set the version again"));
  }
  return *version;
}

absl::Status WriteServedVersion(const std::string& versions_root, std::int64_t version) {
  const std::string path = absl::StrCat(versions_root, "/", kServedVersionFile);
  const std::string temporary = absl::StrCat(path, ".tmp");
  if (absl::Status status = WriteDurably(temporary, absl::StrCat(version, "\n")); !status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    absl::Status status = Failed("replace", path);
    unlink(temporary.c_str());
    return status;
  }
  // The rename itself lives in the directory.
  const File directory(open(versions_root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || fsync(directory.get()) != 0) return Failed("sync", versions_root);
  return absl::OkStatus();
}

}  // namespace petit::serving
