#include "models/distill/labels.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace petit::distill {
namespace {

constexpr std::size_t kChunk = 512;

// The right to write a file, held by one open file at a time.
class WriteLock {
 public:
  explicit WriteLock(const std::string& path) : descriptor_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    held_ = descriptor_ >= 0 && flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
  }
  ~WriteLock() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  WriteLock(const WriteLock&) = delete;
  WriteLock& operator=(const WriteLock&) = delete;

  bool opened() const { return descriptor_ >= 0; }
  bool held() const { return held_; }

 private:
  const int descriptor_;
  bool held_ = false;
};

struct KeptLabels {
  std::vector<std::vector<TokenId>> ids;
  std::uintmax_t bytes = 0;  // of their lines
};

// The complete lines of a file; a last one without its newline was, or is, being written.
absl::StatusOr<KeptLabels> ReadLabels(const std::string& path) {
  KeptLabels labels;
  std::ifstream file(path, std::ios::binary);
  std::string line;
  while (std::getline(file, line) && !file.eof()) {
    labels.bytes += line.size() + 1;
    std::vector<TokenId> ids;
    for (const absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
      TokenId id = 0;
      if (!absl::SimpleAtoi(word, &id)) {
        return absl::DataLossError(absl::StrCat(path, ": damaged; remove it and it is made anew"));
      }
      ids.push_back(id);
    }
    labels.ids.push_back(std::move(ids));
  }
  return labels;
}

}  // namespace

absl::StatusOr<std::vector<std::vector<TokenId>>> TeacherLabels(const std::vector<std::vector<TokenId>>& sources,
                                                                const std::string& path,
                                                                const std::function<absl::StatusOr<Generator>()>& load,
                                                                const std::function<bool()>& stop,
                                                                const std::function<void(const std::string&)>& log) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  const WriteLock lock(path);
  if (!lock.opened()) return absl::UnavailableError(absl::StrCat(path, ": cannot be opened: ", std::strerror(errno)));
  absl::StatusOr<KeptLabels> read = ReadLabels(path);
  if (!read.ok()) return read.status();
  std::vector<std::vector<TokenId>> labels = std::move(read->ids);
  if (labels.size() >= sources.size()) {
    labels.resize(sources.size());
    return labels;
  }
  absl::StatusOr<Generator> generator = load();
  if (!generator.ok()) return generator.status();
  std::ofstream file;
  if (lock.held()) {
    std::filesystem::resize_file(path, read->bytes, error);
    file.open(path, std::ios::binary | std::ios::app);
  }
  while (labels.size() < sources.size()) {
    const std::size_t begin = labels.size();
    const std::size_t end = std::min(sources.size(), begin + kChunk);
    const std::vector<std::vector<TokenId>> chunk(sources.begin() + static_cast<std::ptrdiff_t>(begin),
                                                  sources.begin() + static_cast<std::ptrdiff_t>(end));
    absl::StatusOr<std::vector<std::vector<TokenId>>> made = generator->Run(chunk, stop);
    if (!made.ok()) return made.status();
    for (std::vector<TokenId>& ids : *made) {
      if (lock.held()) file << absl::StrJoin(ids, " ") << '\n';
      labels.push_back(std::move(ids));
    }
    if (lock.held() && !file.flush())
      return absl::ResourceExhaustedError(absl::StrCat(path, ": cannot be written; is the disk full?"));
    log(absl::StrCat("the teacher has labelled ", labels.size(), " of ", sources.size(), " sources"));
  }
  return labels;
}

}  // namespace petit::distill
