#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/data/archive_stream.h"
#include "client/data/corpus.h"
#include "client/data/line_reader.h"
#include "client/data/text.h"

namespace petit::data {
namespace {

namespace fs = std::filesystem;

constexpr char kEnglish[] = "GlobalVoices.en-fr.en";
constexpr char kFrench[] = "GlobalVoices.en-fr.fr";

class Side {
 public:
  static absl::StatusOr<std::unique_ptr<Side>> Open(const std::string& archive, const std::string& member,
                                                    int interrupt_fd) {
    auto stream = ArchiveStream::OpenZipMember(archive, member, interrupt_fd);
    if (!stream.ok()) return stream.status();
    return std::make_unique<Side>(archive + ", " + member, *std::move(stream));
  }

  Side(std::string name, std::unique_ptr<ArchiveStream> stream)
      : name_(std::move(name)), stream_(std::move(stream)), lines_([this] { return stream_->Read(); }) {}

  absl::StatusOr<std::optional<std::string>> Next() {
    absl::StatusOr<std::optional<Line>> line = lines_.Next();
    if (!line.ok()) return line.status();
    if (!*line) return std::nullopt;
    number_ = (*line)->number;
    if ((*line)->too_long) return Bad("the line is longer than 1 MiB");
    if (FindInvalidUtf8((*line)->text)) return Bad("the line is not valid UTF-8");
    return std::move((*line)->text);
  }

  [[nodiscard]] absl::Status Bad(const std::string& what) const {
    return absl::DataLossError(absl::StrCat(name_, ":", number_, ": ", what));
  }

 private:
  const std::string name_;
  std::unique_ptr<ArchiveStream> stream_;
  LineReader lines_;
  std::int64_t number_ = 0;
};

absl::Status AddLines(const std::string& archive, int interrupt_fd, SetWriter& writer) {
  auto english = Side::Open(archive, kEnglish, interrupt_fd);
  if (!english.ok()) return english.status();
  auto french = Side::Open(archive, kFrench, interrupt_fd);
  if (!french.ok()) return french.status();
  while (true) {
    absl::StatusOr<std::optional<std::string>> left = (*english)->Next();
    if (!left.ok()) return left.status();
    absl::StatusOr<std::optional<std::string>> right = (*french)->Next();
    if (!right.ok()) return right.status();
    if (left->has_value() != right->has_value()) {
      return (*left ? *english : *french)->Bad("has no counterpart: the other language's file ends a line before");
    }
    if (!*left) return absl::OkStatus();
    if (absl::Status status = writer.Add(**std::move(left), **std::move(right)); !status.ok()) return status;
  }
}

std::string WithoutSlashes(std::string base) {
  while (base.ends_with('/')) base.pop_back();
  return base;
}

}  // namespace

absl::StatusOr<OpusSets> FetchOpus(const OpusOptions& options) {
  const std::string url = !options.url.empty()     ? options.url
                          : options.mirror.empty() ? absl::StrCat(kOpusServer, kOpusPath)
                                                   : WithoutSlashes(options.mirror) + kOpusPath;
  const fs::path directory = fs::path(options.out_dir) / ".opus";
  std::error_code failure;
  fs::create_directories(directory, failure);
  if (failure) return absl::ErrnoToStatus(failure.value(), absl::StrCat("cannot make ", directory.string()));
  const std::string archive = (directory / "en-fr.zip").string();
  absl::StatusOr<std::unique_ptr<SetWriter>> writer = SetWriter::Open(options.out_dir, options.split);
  if (!writer.ok()) return writer.status();
  const absl::StatusOr<DownloadedFile> fetched = FetchFile({.url = url,
                                                            .path = archive,
                                                            .sha256 = options.sha256,
                                                            .patience = options.patience,
                                                            .interrupt_fd = options.interrupt_fd,
                                                            .progress = options.progress,
                                                            .tell = options.tell});
  if (!fetched.ok()) return fetched.status();
  if (options.tell) options.tell(absl::StrCat("the archive's SHA-256 is ", fetched->sha256));
  if (absl::Status status = AddLines(archive, options.interrupt_fd, **writer); !status.ok()) {
    // Fetching it once more may help; using it once more will not.
    if (absl::IsDataLoss(status) || absl::IsNotFound(status)) fs::remove_all(directory, failure);
    return status;
  }
  OpusSets sets{.sets = {}, .url = WithoutPassword(url), .sha256 = fetched->sha256};
  const std::string name = sets.url.substr(sets.url.rfind('/') + 1);
  absl::StatusOr<WrittenSets> written = (*writer)->Finish({.name = name,
                                                           .url = sets.url,
                                                           .sha256 = sets.sha256,
                                                           .order = "OPUS order, not the report's order",
                                                           .options = {{"english", kEnglish}, {"french", kFrench}}});
  if (!written.ok()) return written.status();
  sets.sets = *std::move(written);
  fs::remove_all(directory, failure);
  return sets;
}

}  // namespace petit::data
