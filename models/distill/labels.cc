#include "models/distill/labels.h"

#include <algorithm>
#include <cstddef>
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

// The complete lines of a file; a last one without its newline was being written. Cuts it off.
absl::StatusOr<std::vector<std::vector<TokenId>>> ReadLabels(const std::string& path) {
  std::vector<std::vector<TokenId>> labels;
  std::ifstream file(path, std::ios::binary);
  std::string line;
  std::uintmax_t complete = 0;
  while (std::getline(file, line) && !file.eof()) {
    complete += line.size() + 1;
    std::vector<TokenId> ids;
    for (const absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
      TokenId id = 0;
      if (!absl::SimpleAtoi(word, &id)) {
        return absl::DataLossError(absl::StrCat(path, ": damaged; remove it and it is made anew"));
      }
      ids.push_back(id);
    }
    labels.push_back(std::move(ids));
  }
  std::error_code error;
  if (std::filesystem::exists(path, error)) std::filesystem::resize_file(path, complete, error);
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
  absl::StatusOr<std::vector<std::vector<TokenId>>> labels = ReadLabels(path);
  if (!labels.ok()) return labels.status();
  if (labels->size() >= sources.size()) {
    labels->resize(sources.size());
    return labels;
  }
  absl::StatusOr<Generator> generator = load();
  if (!generator.ok()) return generator.status();
  std::ofstream file(path, std::ios::binary | std::ios::app);
  while (labels->size() < sources.size()) {
    const std::size_t begin = labels->size();
    const std::size_t end = std::min(sources.size(), begin + kChunk);
    const std::vector<std::vector<TokenId>> chunk(sources.begin() + static_cast<std::ptrdiff_t>(begin),
                                                  sources.begin() + static_cast<std::ptrdiff_t>(end));
    absl::StatusOr<std::vector<std::vector<TokenId>>> made = generator->Run(chunk, stop);
    if (!made.ok()) return made.status();
    for (std::vector<TokenId>& ids : *made) {
      file << absl::StrJoin(ids, " ") << '\n';
      labels->push_back(std::move(ids));
    }
    file.flush();
    if (!file) return absl::ResourceExhaustedError(absl::StrCat(path, ": cannot be written; is the disk full?"));
    log(absl::StrCat("the teacher has labelled ", labels->size(), " of ", sources.size(), " sources"));
  }
  return labels;
}

}  // namespace petit::distill
