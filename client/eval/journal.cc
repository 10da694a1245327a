#include "client/eval/journal.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace petit::eval {
namespace {

constexpr std::size_t kChunk = 1 << 16;
constexpr std::size_t kHashDigits = 16;

std::string HashOf(const std::string& key) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()))
      .substr(0, kHashDigits);
}

// A file's name of what may hold slashes.
std::string FileName(const std::string& stem) {
  std::string name = stem;
  for (char& c : name) {
    if (c == '/' || c == ':' || c == ' ') c = '_';
  }
  return name;
}

// One write, whole or not at all.
absl::Status WriteAt(int descriptor, absl::string_view text, std::int64_t offset, const std::string& path) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count =
        pwrite(descriptor, text.data() + done, text.size() - done, offset + static_cast<std::int64_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const int error = count < 0 ? errno : ENOSPC;
      (void)!ftruncate(descriptor, offset);  // a torn record is dropped when the journal is opened again
      const absl::Status status = absl::ErrnoToStatus(error, absl::StrCat("cannot write ", path));
      return error == ENOSPC || error == EDQUOT ? absl::ResourceExhaustedError(status.message()) : status;
    }
    done += static_cast<std::size_t>(count);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(const std::string& directory, const std::string& stem,
                                                       const std::string& key) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot make ", directory));
  const std::string path = absl::StrCat(directory, "/", FileName(stem), ".", HashOf(key), ".journal");
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  std::unique_ptr<Journal> journal(new Journal(descriptor, path));
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is in use by another evaluation; wait for it, or keep this one's results elsewhere"));
  }
  if (absl::Status status = journal->Load(key); !status.ok()) return status;
  return journal;
}

Journal::~Journal() { close(descriptor_); }

absl::Status Journal::Load(const std::string& key) {
  std::string line;
  std::int64_t line_start = 0;
  std::int64_t position = 0;
  bool has_key = false;
  std::string chunk(kChunk, '\0');
  while (true) {
    const ssize_t count = pread(descriptor_, chunk.data(), chunk.size(), position);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path_));
    if (count == 0) break;
    for (ssize_t i = 0; i < count; ++i) {
      if (chunk[static_cast<std::size_t>(i)] != '\n') {
        line.push_back(chunk[static_cast<std::size_t>(i)]);
        continue;
      }
      const std::int64_t next = position + i + 1;
      if (!has_key) {
        if (line != key) return absl::DataLossError(absl::StrCat(path_, " is damaged; delete it and run again"));
        has_key = true;
        first_ = next;
      } else {
        const std::size_t tab = line.find('\t');
        std::int64_t number = 0;
        if (tab == std::string::npos || !absl::SimpleAtoi(absl::string_view(line).substr(0, tab), &number)) {
          return absl::DataLossError(
              absl::StrCat(path_, " is damaged at byte ", line_start, "; delete it and run again"));
        }
        offsets_[number] = line_start + static_cast<std::int64_t>(tab) + 1;
      }
      line.clear();
      line_start = next;
    }
    position += count;
  }
  end_ = line_start;
  if (position != end_ && ftruncate(descriptor_, end_) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
  }
  if (has_key) return absl::OkStatus();
  const std::string first = key + "\n";
  absl::Status status = WriteAt(descriptor_, first, 0, path_);
  if (status.ok()) first_ = end_ = static_cast<std::int64_t>(first.size());
  return status;
}

absl::StatusOr<std::string> Journal::Read(std::int64_t number) {
  const auto found = offsets_.find(number);
  if (found == offsets_.end()) return absl::NotFoundError(absl::StrCat(path_, " has no record ", number));
  std::string record;
  std::array<char, 4096> chunk;
  std::int64_t offset = found->second;
  while (true) {
    const ssize_t count = pread(descriptor_, chunk.data(), chunk.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path_));
    if (count == 0) return absl::DataLossError(absl::StrCat(path_, " has become shorter"));
    const absl::string_view text(chunk.data(), static_cast<std::size_t>(count));
    const std::size_t end = text.find('\n');
    absl::StrAppend(&record, text.substr(0, end));
    if (end != absl::string_view::npos) return record;
    offset += count;
  }
}

absl::Status Journal::Clear() {
  if (ftruncate(descriptor_, first_) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
  end_ = first_;
  offsets_.clear();
  return absl::OkStatus();
}

absl::Status Journal::Append(std::int64_t number, const std::string& record) {
  const std::string prefix = absl::StrCat(number, "\t");
  const std::string line = absl::StrCat(prefix, record, "\n");
  if (absl::Status status = WriteAt(descriptor_, line, end_, path_); !status.ok()) return status;
  offsets_[number] = end_ + static_cast<std::int64_t>(prefix.size());
  end_ += static_cast<std::int64_t>(line.size());
  return absl::OkStatus();
}

}  // namespace petit::eval
