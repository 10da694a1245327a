#include "client/cli/translate_input.h"

#include <sys/eventfd.h>

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"

namespace petit::cli {
namespace {

// Above the server's own bound on a text (64 KiB unless configured), so that the server gets to refuse.
constexpr std::size_t kMaxLineBytes = std::size_t{1} << 20;

}  // namespace

TranslateInput TranslateInput::OfTexts(std::vector<std::string> texts) {
  TranslateInput input;
  input.texts_ = std::move(texts);
  return input;
}

absl::StatusOr<TranslateInput> TranslateInput::OfFiles(std::vector<std::string> paths, const Io& io) {
  if (paths.empty()) paths.emplace_back("-");
  TranslateInput input;
  input.interrupt_fd_ = io.interrupt_fd;
  // Without a descriptor left, a failure shows after the next line only.
  if (const int fd = eventfd(0, EFD_CLOEXEC); fd >= 0) input.stop_ = InputFile::Adopt(fd);
  for (const std::string& path : paths) {
    absl::StatusOr<InputFile> file = InputFile::Open(path, io.in_fd);
    if (!file.ok()) return file.status();
    input.files_.push_back(*std::move(file));
  }
  input.paths_ = std::move(paths);
  return input;
}

absl::StatusOr<std::optional<InputText>> TranslateInput::Next() {
  if (!texts_.empty()) {
    if (next_ == texts_.size()) return std::nullopt;
    InputText text{.number = static_cast<std::int64_t>(next_) + 1, .text = texts_[next_]};
    ++next_;
    return text;
  }
  while (true) {
    if (!reader_) {
      if (next_ == files_.size()) return std::nullopt;
      reader_.emplace(files_[next_].fd(), std::array<int, 2>{interrupt_fd_, stop_ ? stop_->fd() : -1}, kMaxLineBytes);
    }
    absl::StatusOr<std::optional<Line>> line = reader_->Next();
    if (!line.ok()) {
      return absl::Status(line.status().code(), absl::StrCat(paths_[next_], ": ", line.status().message()));
    }
    if (*line) {
      InputText text{
          .file = paths_[next_], .number = (*line)->number, .text = std::move((*line)->text), .bytes = (*line)->bytes};
      if ((*line)->too_long) {
        text.problem = absl::InvalidArgumentError(
            absl::StrCat("the line has ", (*line)->bytes, " bytes; ", kMaxLineBytes, " is the most"));
      }
      return text;
    }
    reader_.reset();
    ++next_;
  }
}

void TranslateInput::Stop() const {
  if (stop_) eventfd_write(stop_->fd(), 1);
}

std::int64_t TranslateInput::bytes() const {
  std::int64_t sum = 0;
  for (const InputFile& file : files_) {
    if (file.size() == 0) return 0;
    sum += file.size();
  }
  return sum;
}

}  // namespace petit::cli
