// Bytes out of libarchive.
#ifndef PETIT_CLIENT_DATA_ARCHIVE_STREAM_H_
#define PETIT_CLIENT_DATA_ARCHIVE_STREAM_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "client/data/raw_file.h"

namespace petit::data {

// The content of one xz or zstd file, or one member of a zip archive. Errors name the file. Nothing is written.
class ArchiveStream {
 public:
  // `raw` outlives the stream.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ArchiveStream>> OpenCompressed(RawFile* raw);
  // NOT_FOUND: the archive has no file of this name; the message tells which it has.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ArchiveStream>> OpenZipMember(const std::string& path,
                                                                                    const std::string& member,
                                                                                    int interrupt_fd);
  ~ArchiveStream();
  ArchiveStream(const ArchiveStream&) = delete;
  ArchiveStream& operator=(const ArchiveStream&) = delete;

  // Some more, valid until the next call; nothing at the end. DATA_LOSS: damaged or cut off.
  [[nodiscard]] absl::StatusOr<std::string_view> Read();

 private:
  struct State;
  explicit ArchiveStream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_ARCHIVE_STREAM_H_
