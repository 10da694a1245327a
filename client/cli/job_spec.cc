#include "client/cli/job_spec.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <poll.h>

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/cli/text_io.h"

namespace petit::cli {
namespace {

constexpr std::size_t kMaxSpecBytes = std::size_t{1} << 20;

class Errors : public google::protobuf::io::ErrorCollector {
 public:
  explicit Errors(const std::string& name) : name_(name) {}

  void AddError(int line, int column, const std::string& message) override {
    absl::StrAppend(&text_, text_.empty() ? "" : "\n", name_, ":");
    if (line >= 0) absl::StrAppend(&text_, line + 1, ":", column + 1, ":");  // -1: of the file as a whole
    absl::StrAppend(&text_, " ", message);
  }
  void AddWarning(int /*line*/, int /*column*/, const std::string& /*message*/) override {}

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  const std::string& name_;
  std::string text_;
};

bool Readable(int fd) {
  pollfd polled = {.fd = fd, .events = POLLIN, .revents = 0};
  return fd >= 0 && poll(&polled, 1, 0) > 0;
}

}  // namespace

absl::StatusOr<petit::v1::JobSpec> ParseJobSpec(const std::string& text, const std::string& name) {
  Errors errors(name);
  if (const std::optional<std::size_t> bad = FindInvalidUtf8(text)) {
    const std::string before = text.substr(0, *bad);
    const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    errors.AddError(static_cast<int>(std::count(before.begin(), before.end(), '\n')),
                    static_cast<int>(*bad - line_start), "this byte is not valid UTF-8");
    return absl::InvalidArgumentError(errors.text());
  }
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  petit::v1::JobSpec spec;
  if (!parser.ParseFromString(text, &spec)) return absl::InvalidArgumentError(errors.text());
  return spec;
}

absl::StatusOr<petit::v1::JobSpec> ReadJobSpec(const std::string& path, int standard_input, int interrupt_fd) {
  const absl::StatusOr<InputFile> file = InputFile::Open(path, standard_input);
  if (!file.ok()) return file.status();
  const std::string name = path == "-" ? "standard input" : path;
  LineReader reader(file->fd(), {interrupt_fd, -1}, kMaxSpecBytes);
  std::string text;
  while (true) {
    const absl::StatusOr<std::optional<Line>> line = reader.Next();
    if (!line.ok()) return absl::Status(line.status().code(), absl::StrCat(name, ": ", line.status().message()));
    if (!line->has_value()) break;
    if ((*line)->too_long || text.size() + (*line)->text.size() > kMaxSpecBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " is longer than ", kMaxSpecBytes, " bytes; a textproto of petit.v1.JobSpec is wanted"));
    }
    absl::StrAppend(&text, (*line)->text, "\n");
  }
  if (Readable(interrupt_fd)) return absl::CancelledError("interrupted");
  return ParseJobSpec(text, name);
}

}  // namespace petit::cli
