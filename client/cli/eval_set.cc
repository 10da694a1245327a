#include "client/cli/eval_set.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace petit::cli {
namespace {

absl::StatusOr<std::string> Sha256OfFile(const std::string& path) {
  absl::StatusOr<InputFile> file = InputFile::Open(path);
  if (!file.ok()) return file.status();
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  bool good = context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  std::array<char, 65536> chunk;
  while (good) {
    const ssize_t count = read(file->fd(), chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
    if (count == 0) break;
    good = EVP_DigestUpdate(context.get(), chunk.data(), static_cast<std::size_t>(count)) == 1;
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (!good || EVP_DigestFinal_ex(context.get(), digest.data(), &size) != 1) {
    return absl::InternalError(absl::StrCat("cannot compute the SHA-256 of ", path));
  }
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest.data()), size));
}

absl::Status At(const std::string& path, std::int64_t line, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ":", line, ": ", what));
}

absl::Status CheckSource(const std::string& source) {
  if (const auto offset = FindInvalidUtf8(source)) {
    return absl::InvalidArgumentError(absl::StrCat("byte ", *offset + 1, " of the source is not valid UTF-8"));
  }
  if (IsBlank(source)) return absl::InvalidArgumentError("the source is blank");
  return absl::OkStatus();
}

}  // namespace

EvalSetReader::Input::Input(std::string input_path, InputFile opened, int interrupt_fd)
    : path(std::move(input_path)), file(std::move(opened)), reader(file.fd(), {interrupt_fd, -1}) {}

absl::StatusOr<EvalSetReader> EvalSetReader::Open(const EvalFiles& files, int interrupt_fd) {
  EvalSetReader reader;
  reader.limit_ = files.limit;
  const auto open = [&](const std::string& path, std::unique_ptr<Input>& input) -> absl::Status {
    absl::StatusOr<InputFile> file = InputFile::Open(path);
    if (!file.ok()) return file.status();
    input = std::make_unique<Input>(path, *std::move(file), interrupt_fd);
    return absl::OkStatus();
  };
  absl::Status status = open(files.pairs.empty() ? files.source : files.pairs, reader.first_);
  if (status.ok() && files.pairs.empty()) status = open(files.reference, reader.second_);
  if (!status.ok()) return status;
  return reader;
}

absl::StatusOr<std::optional<EvalPair>> EvalSetReader::Next() {
  if (limit_ > 0 && read_ == limit_) return std::nullopt;
  absl::StatusOr<std::optional<EvalPair>> pair = NextPair();
  if (!pair.ok() || !*pair) return pair;
  ++read_;
  if (const auto offset = FindInvalidUtf8((*pair)->reference)) {
    return At(second_ == nullptr ? first_->path : second_->path, (*pair)->line,
              absl::StrCat("byte ", *offset + 1, " of the reference is not valid UTF-8"));
  }
  if ((*pair)->problem.ok()) (*pair)->problem = CheckSource((*pair)->source);
  return pair;
}

absl::StatusOr<std::optional<EvalPair>> EvalSetReader::NextPair() {
  absl::StatusOr<std::optional<Line>> line = first_->reader.Next();
  if (!line.ok()) return line.status();
  if (second_ == nullptr) {
    if (!*line) return std::nullopt;
    if ((*line)->too_long) return At(first_->path, (*line)->number, "the line is longer than 1 MiB");
    std::string& text = (*line)->text;
    const std::size_t tab = text.find('\t');
    if (tab == std::string::npos) {
      return At(first_->path, (*line)->number, "the line has no tab; SOURCE<TAB>REFERENCE is wanted");
    }
    std::string reference = text.substr(tab + 1);
    if (reference.find('\t') != std::string::npos) {
      return At(first_->path, (*line)->number, "the line has more than one tab; SOURCE<TAB>REFERENCE is wanted");
    }
    text.resize(tab);
    return EvalPair{
        .line = (*line)->number, .source = std::move(text), .reference = std::move(reference), .problem = {}};
  }
  absl::StatusOr<std::optional<Line>> other = second_->reader.Next();
  if (!other.ok()) return other.status();
  if (line->has_value() != other->has_value()) {
    const Input& shorter = *line ? *second_ : *first_;
    const Input& longer = *line ? *first_ : *second_;
    return At(longer.path, *line ? (*line)->number : (*other)->number,
              absl::StrCat("has no counterpart: ", shorter.path, " ends a line before"));
  }
  if (!*line) return std::nullopt;
  if ((*other)->too_long) return At(second_->path, (*other)->number, "the line is longer than 1 MiB");
  EvalPair pair{.line = (*line)->number,
                .source = std::move((*line)->text),
                .reference = std::move((*other)->text),
                .problem = {}};
  if ((*line)->too_long) pair.problem = absl::InvalidArgumentError("the source is longer than 1 MiB");
  return pair;
}

absl::StatusOr<EvalSetInfo> InspectEvalSet(const EvalFiles& files, int interrupt_fd) {
  EvalSetInfo info;
  for (const std::string& path : {files.pairs, files.source, files.reference}) {
    if (path.empty()) continue;
    absl::StatusOr<std::string> sha256 = Sha256OfFile(path);
    if (!sha256.ok()) return sha256.status();
    info.files.push_back({.path = path, .sha256 = *std::move(sha256)});
  }
  EvalFiles all = files;
  all.limit = 0;
  absl::StatusOr<EvalSetReader> reader = EvalSetReader::Open(all, interrupt_fd);
  if (!reader.ok()) return reader.status();
  while (true) {
    const absl::StatusOr<std::optional<EvalPair>> pair = reader->Next();
    if (!pair.ok()) return pair.status();
    if (!*pair) break;
    ++info.pairs_there;
  }
  info.pairs = files.limit > 0 ? std::min(files.limit, info.pairs_there) : info.pairs_there;
  if (info.pairs == 0) return absl::InvalidArgumentError(absl::StrCat(info.files[0].path, " holds no pairs"));
  return info;
}

}  // namespace petit::cli
