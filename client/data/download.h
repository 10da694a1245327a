// One file over HTTP, in however many attempts.
#ifndef PETIT_CLIENT_DATA_DOWNLOAD_H_
#define PETIT_CLIENT_DATA_DOWNLOAD_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace petit::data {

// `have` of `total` bytes are there; total is 0 where the server does not say.
using DownloadProgress = std::function<void(std::int64_t have, std::int64_t total)>;

struct DownloadPatience {
  std::int64_t connect_timeout_ms = 30000;
  std::int64_t stall_timeout_s = 60;   // with less than 1 KiB/s
  int tries = 5;                       // in a row that bring nothing
  std::int64_t first_pause_ms = 1000;  // between tries; doubles
};

struct DownloadOptions {
  std::string url;     // http or https; from https no redirect leaves https
  std::string path;    // of the file to be; PATH.part and PATH.origin lie beside it
  std::string sha256;  // hexadecimal, in either case; empty: any
  DownloadPatience patience;
  int interrupt_fd = -1;  // readable: CANCELLED; what is there stays for the next time
  DownloadProgress progress;
  std::function<void(std::string_view what)> tell;  // why it tries again and the like
};

struct DownloadedFile {
  std::string sha256;  // hexadecimal
  std::int64_t bytes = 0;
  bool reused = false;   // it lay there already
  bool resumed = false;  // some of it came in an earlier attempt
};

// Fetches `url` into `path`, through the proxy that the environment names. Goes on after what lies in PATH.part where
// the server says that it still is the same file (If-Range with its ETag or Last-Modified), else starts again. The file
// appears by rename, after its checksum.
// INVALID_ARGUMENT: a URL or checksum that cannot be meant. NOT_FOUND: 404, 410. PERMISSION_DENIED: 401, 403.
// UNAVAILABLE: no server, or it fails, after all tries. DATA_LOSS: another checksum; nothing is kept.
// FAILED_PRECONDITION: another process is fetching it. RESOURCE_EXHAUSTED: the disk is full.
[[nodiscard]] absl::StatusOr<DownloadedFile> FetchFile(const DownloadOptions& options);

// `url` without a user's name and password.
std::string WithoutPassword(const std::string& url);

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_DOWNLOAD_H_
