#include "server/jobs/event_tail.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/util/json_util.h"

namespace petit::serving {
namespace {

absl::Status Damaged(const std::string& path, const TailPosition& at, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat(path, " is damaged at byte ", at.offset, ", after event ", at.sequence, ": ", what));
}

// Appends the line's event, or says what is wrong with the line.
absl::Status ParseLine(const std::string& path, const TailPosition& at, absl::string_view line,
                       std::vector<worker::v1::WorkerEvent>* events) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // of a newer worker
  worker::v1::WorkerEvent event;
  const auto status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(line.data(), line.size()), &event, options);
  if (!status.ok()) return Damaged(path, at, absl::StrCat("not an event: ", std::string(status.message())));
  if (event.sequence() != at.sequence + 1) {
    return Damaged(path, at, absl::StrCat("the next event is ", event.sequence(), " instead of ", at.sequence + 1));
  }
  events->push_back(std::move(event));
  return absl::OkStatus();
}

// Reads [offset, offset + kMaxEventBytes), less at the file's end.
absl::StatusOr<std::string> ReadAt(int file, const std::string& path, std::int64_t offset) {
  std::string text(kMaxEventBytes, '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t size =
        pread(file, text.data() + filled, text.size() - filled, offset + static_cast<std::int64_t>(filled));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
    if (size == 0) break;
    filled += static_cast<std::size_t>(size);
  }
  text.resize(filled);
  return text;
}

}  // namespace

absl::StatusOr<TailBatch> ReadEvents(const std::string& path, TailPosition begin) {
  TailBatch batch;
  batch.end = begin;
  // Opened each time: on a network file system that is what shows another machine's writes.
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0 && errno == ENOENT) {
    if (begin.offset > 0) batch.damage = Damaged(path, begin, "the file is gone");
    return batch;
  }
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  const absl::Cleanup closer = [file] { close(file); };
  struct stat info {};
  if (fstat(file, &info) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  if (!S_ISREG(info.st_mode) || info.st_size < begin.offset) {
    batch.damage = Damaged(path, begin, "it is shorter than what was read of it, or no file");
    return batch;
  }
  const absl::StatusOr<std::string> text = ReadAt(file, path, begin.offset);
  if (!text.ok()) return text.status();
  absl::string_view rest = *text;
  for (std::size_t end = rest.find('\n'); end != absl::string_view::npos; end = rest.find('\n')) {
    batch.damage = ParseLine(path, batch.end, rest.substr(0, end), &batch.events);
    if (!batch.damage.ok()) return batch;
    rest.remove_prefix(end + 1);
    batch.end.offset += static_cast<std::int64_t>(end) + 1;
    ++batch.end.sequence;
  }
  batch.more = text->size() == static_cast<std::size_t>(kMaxEventBytes) && !batch.events.empty();
  if (rest.size() == static_cast<std::size_t>(kMaxEventBytes)) {
    batch.damage = Damaged(path, batch.end, absl::StrCat("a line is longer than ", kMaxEventBytes, " bytes"));
  }
  return batch;
}

}  // namespace petit::serving
