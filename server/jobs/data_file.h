// Files of training data: found below a root, and checked; internal to the folder.
#ifndef PETIT_SERVER_JOBS_DATA_FILE_H_
#define PETIT_SERVER_JOBS_DATA_FILE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace petit::serving {

// An open regular file.
class DataFile {
 public:
  // Opens `path`, relative to `data_root`, with all symbolic links followed and the place where they lead checked: a
  // link is not followed a second time. INVALID_ARGUMENT: an absolute path, one that leads out of the root, nothing
  // there, or no regular file. FAILED_PRECONDITION: the root itself is gone.
  static absl::StatusOr<DataFile> Open(const std::string& data_root, const std::string& path);

  DataFile(DataFile&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)),
        name_(std::move(other.name_)),
        real_path_(std::move(other.real_path_)) {}
  DataFile& operator=(DataFile&&) = delete;
  ~DataFile();

  const std::string& real_path() const { return real_path_; }

  // Reads lines "SOURCE TAB TARGET" to the end, in constant memory, and counts them. INVALID_ARGUMENT names the first
  // line that is no such pair: "NAME:LINE: what is wrong".
  absl::StatusOr<std::int64_t> CountPairs();

 private:
  DataFile(int descriptor, std::string name, std::string real_path)
      : descriptor_(descriptor), name_(std::move(name)), real_path_(std::move(real_path)) {}

  int descriptor_;
  std::string name_;
  std::string real_path_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_DATA_FILE_H_
