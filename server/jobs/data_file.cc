#include "server/jobs/data_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "models/tokenizer/tokenizer.h"
#include "server/jobs/descriptor.h"

namespace petit::serving {
namespace {

constexpr std::size_t kMaxLineBytes = 1 << 20;
constexpr std::size_t kReadBytes = 1 << 18;
constexpr absl::string_view kByteOrderMark = "\xef\xbb\xbf";

std::string Reason() { return std::generic_category().message(errno); }

// Paths come from clients: fit for one line of a message.
std::string Quoted(absl::string_view path) { return absl::StrCat("\"", absl::Utf8SafeCHexEscape(path), "\""); }

// The path without symbolic links, or "".
std::string RealPath(const std::string& path) {
  const std::unique_ptr<char, decltype(&free)> real(realpath(path.c_str(), nullptr), &free);
  return real == nullptr ? "" : real.get();
}

absl::Status CheckPath(const std::string& path) {
  if (path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(Quoted(path), " has a NUL in it; no file has such a name"));
  }
  if (absl::StartsWith(path, "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(path), " is absolute; it must be relative to the server's data root"));
  }
  const std::string normal = std::filesystem::path(path).lexically_normal().string();
  if (normal == ".." || absl::StartsWith(normal, "../")) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(path), " leads out of the server's data root; it must stay below it"));
  }
  return absl::OkStatus();
}

absl::Status CheckKind(mode_t mode, const std::string& path) {
  if (S_ISREG(mode)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(Quoted(path), S_ISDIR(mode)
                                                                   ? " is a directory; name a file in it"
                                                                   : " is no regular file (but a pipe, socket or "
                                                                     "device); name a file"));
}

absl::Status CannotOpen(const std::string& path) {
  return absl::InvalidArgumentError(
      absl::StrCat(Quoted(path), " cannot be opened below the server's data root: ", Reason()));
}

// What is wrong with a line as a whole, or "".
std::string LineProblem(std::string_view line, bool first) {
  if (line.size() > kMaxLineBytes) return absl::StrCat("is longer than ", kMaxLineBytes, " bytes");
  if (first && absl::StartsWith(absl::string_view(line.data(), line.size()), kByteOrderMark)) {
    return "begins with a byte order mark, which would become part of the first source; save it as UTF-8 without one";
  }
  if (line.ends_with('\r')) return "ends with a carriage return; lines must end with a line feed alone (dos2unix)";
  if (line.find('\0') != std::string_view::npos) return "has a NUL in it; expected text";
  const std::size_t tab = line.find('\t');
  if (tab == std::string_view::npos) return "has one column; expected SOURCE, a tab, TARGET";
  if (line.find('\t', tab + 1) != std::string_view::npos) {
    return "has more than two columns; expected SOURCE, a tab, TARGET";
  }
  const std::ptrdiff_t bad = tokenizer::FirstInvalidUtf8(line);
  if (bad >= 0) return absl::StrCat("is not UTF-8 at byte ", bad + 1);
  for (const auto& [name, begin, size] :
       {std::tuple{"first", std::size_t{0}, tab}, std::tuple{"second", tab + 1, line.size() - tab - 1}}) {
    if (!absl::StripAsciiWhitespace(absl::string_view(line.data() + begin, size)).empty()) continue;
    return absl::StrCat("has nothing in its ", name, " column; expected a text");
  }
  return "";
}

}  // namespace

DataFile::~DataFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::StatusOr<DataFile> DataFile::Open(const std::string& data_root, const std::string& path) {
  if (absl::Status status = CheckPath(path); !status.ok()) return status;
  const std::string root = RealPath(data_root);
  Descriptor descriptor(root.empty() ? -1 : open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() < 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the server's data root ", data_root, " cannot be opened: ", Reason()));
  }
  std::string real_path = RealPath(absl::StrCat(root, "/", path));
  if (real_path.empty()) return CannotOpen(path);
  if (real_path == root) return CheckKind(S_IFDIR, path);
  if (!absl::StartsWith(real_path, root + "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(path), " leads out of the server's data root by a symbolic link; it must stay below it"));
  }
  // Step by step, so that a link that somebody puts there meanwhile is refused.
  std::vector<std::string> steps = absl::StrSplit(real_path.substr(root.size() + 1), '/');
  const std::string file = std::move(steps.back());
  steps.pop_back();
  for (const std::string& step : steps) {
    descriptor = Descriptor(openat(descriptor.get(), step.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (descriptor.get() < 0) return CannotOpen(path);
  }
  struct stat status;
  // Before the opening, which could wait for a pipe's writer or set a device going.
  if (fstatat(descriptor.get(), file.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return CannotOpen(path);
  if (absl::Status kind = CheckKind(status.st_mode, path); !kind.ok()) return kind;
  descriptor =
      Descriptor(openat(descriptor.get(), file.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (descriptor.get() < 0 || fstat(descriptor.get(), &status) != 0) return CannotOpen(path);
  if (absl::Status kind = CheckKind(status.st_mode, path); !kind.ok()) return kind;
  return DataFile(descriptor.Release(), absl::Utf8SafeCHexEscape(path), std::move(real_path));
}

absl::StatusOr<std::int64_t> DataFile::CountPairs() {
  std::vector<char> buffer(kMaxLineBytes + kReadBytes);
  std::size_t filled = 0;
  std::int64_t lines = 0;
  const auto check_line = [this, &lines](const char* begin, std::size_t size) -> absl::Status {
    const std::string problem = LineProblem({begin, size}, lines++ == 0);
    if (problem.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(name_, ":", lines, ": the line ", problem));
  };
  while (true) {
    const ssize_t got = read(descriptor_, buffer.data() + filled, buffer.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::UnavailableError(absl::StrCat(name_, ": cannot be read: ", Reason()));
    if (got == 0) break;
    std::size_t searched = filled;
    std::size_t begin = 0;
    filled += static_cast<std::size_t>(got);
    while (const void* found = std::memchr(buffer.data() + searched, '\n', filled - searched)) {
      const std::size_t end = static_cast<std::size_t>(static_cast<const char*>(found) - buffer.data());
      if (absl::Status status = check_line(buffer.data() + begin, end - begin); !status.ok()) return status;
      searched = begin = end + 1;
    }
    filled -= begin;
    // Too long already, whatever follows: it is not read to its end.
    if (filled > kMaxLineBytes) return check_line(buffer.data() + begin, filled);
    std::memmove(buffer.data(), buffer.data() + begin, filled);
  }
  if (filled > 0) {
    if (absl::Status status = check_line(buffer.data(), filled); !status.ok()) return status;
  }
  if (lines == 0) return absl::InvalidArgumentError(absl::StrCat(name_, ": is empty; expected at least one pair"));
  return lines;
}

}  // namespace petit::serving
