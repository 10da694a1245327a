#include "client/cli/job_spec.h"

#include <poll.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "client/cli/text_io.h"
#include "client/eval/text_proto.h"

namespace petit::cli {
namespace {

constexpr std::size_t kMaxSpecBytes = std::size_t{1} << 20;

bool Readable(int fd) {
  pollfd polled = {.fd = fd, .events = POLLIN, .revents = 0};
  return fd >= 0 && poll(&polled, 1, 0) > 0;
}

}  // namespace

absl::StatusOr<petit::v1::JobSpec> ParseJobSpec(const std::string& text, const std::string& name) {
  petit::v1::JobSpec spec;
  if (absl::Status status = eval::ParseDocument(text, name, spec); !status.ok()) return status;
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
