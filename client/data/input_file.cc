#include "client/data/input_file.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/data/archive_stream.h"
#include "client/data/gzip_stream.h"
#include "client/data/raw_file.h"

namespace petit::data {
namespace {

using namespace std::string_view_literals;

// Whatever has Read() decodes; `raw` is what it reads from.
template <typename Decoder>
class DecodedFile final : public InputFile {
 public:
  DecodedFile(std::unique_ptr<RawFile> raw, std::unique_ptr<Decoder> decoder)
      : raw_(std::move(raw)), decoder_(std::move(decoder)) {}

  absl::StatusOr<std::string_view> Read() override {
    if (const absl::Status status = raw_->CheckInterrupt(); !status.ok()) return status;
    return decoder_->Read();
  }

  absl::StatusOr<std::string> Finish() override {
    while (true) {
      const absl::StatusOr<std::string_view> rest = Read();
      if (!rest.ok()) return rest.status();
      if (rest->empty()) break;
    }
    while (true) {  // what a decoder leaves behind
      const absl::StatusOr<std::string_view> rest = raw_->Read();
      if (!rest.ok()) return rest.status();
      if (rest->empty()) return raw_->Sha256();
    }
  }

 private:
  std::unique_ptr<RawFile> raw_;
  std::unique_ptr<Decoder> decoder_;
};

// A plain file decodes itself.
class PlainDecoder {
 public:
  explicit PlainDecoder(RawFile* raw) : raw_(raw) {}
  absl::StatusOr<std::string_view> Read() { return raw_->Read(); }

 private:
  RawFile* raw_;
};

template <typename Decoder>
absl::StatusOr<std::unique_ptr<InputFile>> Decoded(std::unique_ptr<RawFile> raw,
                                                   absl::StatusOr<std::unique_ptr<Decoder>> decoder) {
  if (!decoder.ok()) return decoder.status();
  return std::make_unique<DecodedFile<Decoder>>(std::move(raw), *std::move(decoder));
}

}  // namespace

absl::StatusOr<std::unique_ptr<InputFile>> InputFile::Open(const std::string& path, const InputFileOptions& options) {
  absl::StatusOr<std::unique_ptr<RawFile>> opened = RawFile::Open(path, options.interrupt_fd, options.digest);
  if (!opened.ok()) return opened.status();
  std::unique_ptr<RawFile> raw = *std::move(opened);
  const absl::StatusOr<std::string_view> start = raw->Peek(6);
  if (!start.ok()) return start.status();
  if (start->starts_with("\x1F\x8B"sv)) {
    auto decoder = GzipStream::Open(raw.get());
    return Decoded(std::move(raw), std::move(decoder));
  }
  if (start->starts_with("\xFD"
                         "7zXZ\0"sv) ||
      start->starts_with("\x28\xB5\x2F\xFD"sv)) {
    auto decoder = ArchiveStream::OpenCompressed(raw.get());
    return Decoded(std::move(raw), std::move(decoder));
  }
  for (const auto& [magic, name] : {std::pair{"PK\x03\x04"sv, "a zip archive"}, {"PAR1"sv, "a Parquet file"}}) {
    if (!start->starts_with(magic)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is ", name, "; lines of text are wanted, plain or compressed with gzip, xz or zstd"));
  }
  auto decoder = std::make_unique<PlainDecoder>(raw.get());
  return Decoded<PlainDecoder>(std::move(raw), std::move(decoder));
}

}  // namespace petit::data
