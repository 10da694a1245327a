// Bytes out of zlib.
#ifndef PETIT_CLIENT_DATA_GZIP_STREAM_H_
#define PETIT_CLIENT_DATA_GZIP_STREAM_H_

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "client/data/raw_file.h"

namespace petit::data {

// The content of a gzip file of one or more members. (libarchive would not check their checksums.)
class GzipStream {
 public:
  // `raw` outlives the stream.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<GzipStream>> Open(RawFile* raw);
  ~GzipStream();
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;

  // Some more, valid until the next call; nothing at the end. DATA_LOSS: damaged or cut off.
  [[nodiscard]] absl::StatusOr<std::string_view> Read();

 private:
  struct State;
  explicit GzipStream(std::unique_ptr<State> state);
  // The next piece of the file, unless there is one left.
  absl::Status Fill();
  [[nodiscard]] absl::Status Damaged(std::string_view why) const;

  std::unique_ptr<State> state_;
};

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_GZIP_STREAM_H_
