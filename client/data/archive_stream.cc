#include "client/data/archive_stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <poll.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace petit::data {
namespace {

constexpr std::size_t kBlockBytes = 65536;
constexpr std::size_t kMaxMembersNamed = 8;

bool Readable(int fd) {
  pollfd polled = {.fd = fd, .events = POLLIN, .revents = 0};
  return fd >= 0 && poll(&polled, 1, 0) > 0 && polled.revents != 0;
}

}  // namespace

struct ArchiveStream::State {
  struct archive* handle = archive_read_new();
  std::string path;
  std::string member;      // of a zip archive
  RawFile* raw = nullptr;  // null: libarchive reads the file itself
  absl::Status raw_status;
  int interrupt_fd = -1;
  bool at_end = false;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { archive_read_free(handle); }

  static la_ssize_t ReadRaw(struct archive* handle, void* data, const void** buffer) {
    auto& state = *static_cast<State*>(data);
    const absl::StatusOr<std::string_view> bytes = state.raw->Read();
    if (bytes.ok()) {
      *buffer = bytes->data();
      return static_cast<la_ssize_t>(bytes->size());
    }
    state.raw_status = bytes.status();
    archive_set_error(handle, EIO, "cannot be read");
    return -1;
  }

  [[nodiscard]] absl::Status Damaged() const {
    if (!raw_status.ok()) return raw_status;
    const char* reason = archive_error_string(handle);
    return absl::DataLossError(absl::StrCat(path, member.empty() ? "" : absl::StrCat(", ", member),
                                            " is damaged or cut off: ", reason == nullptr ? "no reason" : reason));
  }
};

ArchiveStream::ArchiveStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
ArchiveStream::~ArchiveStream() = default;

absl::StatusOr<std::unique_ptr<ArchiveStream>> ArchiveStream::OpenCompressed(RawFile* raw) {
  auto state = std::make_unique<State>();
  state->path = raw->path();
  state->raw = raw;
  archive_read_support_filter_xz(state->handle);
  archive_read_support_filter_zstd(state->handle);
  archive_read_support_format_raw(state->handle);
  archive_read_support_format_empty(state->handle);
  if (archive_read_open(state->handle, state.get(), nullptr, State::ReadRaw, nullptr) != ARCHIVE_OK) {
    return state->Damaged();
  }
  if (archive_filter_code(state->handle, 0) == ARCHIVE_FILTER_NONE) {  // it would come as it is
    return absl::DataLossError(absl::StrCat(state->path, " is damaged: it begins as xz and zstd do and is neither"));
  }
  struct archive_entry* entry = nullptr;
  const int code = archive_read_next_header(state->handle, &entry);
  state->at_end = code == ARCHIVE_EOF;  // compressed nothing
  if (code != ARCHIVE_OK && code != ARCHIVE_EOF) return state->Damaged();
  return std::unique_ptr<ArchiveStream>(new ArchiveStream(std::move(state)));
}

absl::StatusOr<std::unique_ptr<ArchiveStream>> ArchiveStream::OpenZipMember(const std::string& path,
                                                                            const std::string& member,
                                                                            int interrupt_fd) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->interrupt_fd = interrupt_fd;
  // By the directory at the end, so that an archive that was cut off is none.
  archive_read_support_format_zip_seekable(state->handle);
  if (archive_read_open_filename(state->handle, path.c_str(), kBlockBytes) != ARCHIVE_OK) return state->Damaged();
  std::vector<std::string> names;
  struct archive_entry* entry = nullptr;
  int code = ARCHIVE_OK;
  while ((code = archive_read_next_header(state->handle, &entry)) == ARCHIVE_OK || code == ARCHIVE_WARN) {
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr) continue;
    if (name == member && archive_entry_filetype(entry) == AE_IFREG) {
      state->member = member;
      return std::unique_ptr<ArchiveStream>(new ArchiveStream(std::move(state)));
    }
    if (names.size() < kMaxMembersNamed) names.emplace_back(name);
  }
  if (code != ARCHIVE_EOF) return state->Damaged();
  return absl::NotFoundError(
      absl::StrCat(path, " has no member ", member, "; it has: ", names.empty() ? "none" : absl::StrJoin(names, ", ")));
}

absl::StatusOr<std::string_view> ArchiveStream::Read() {
  while (!state_->at_end) {
    if (Readable(state_->interrupt_fd)) return absl::CancelledError("interrupted");
    const void* bytes = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int code = archive_read_data_block(state_->handle, &bytes, &size, &offset);
    state_->at_end = code != ARCHIVE_OK;
    // A warning is a wrong checksum or length.
    if (code != ARCHIVE_OK && code != ARCHIVE_EOF) return state_->Damaged();
    if (code == ARCHIVE_OK && size > 0) return std::string_view(static_cast<const char*>(bytes), size);
  }
  return std::string_view();
}

}  // namespace petit::data
