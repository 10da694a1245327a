// One HTTP request, by libcurl.
#ifndef PETIT_CLIENT_DATA_HTTP_GET_H_
#define PETIT_CLIENT_DATA_HTTP_GET_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace petit::data {

// Of the last answer, after all redirects.
struct HttpHead {
  long code = 0;
  std::string etag;
  std::string last_modified;
  std::int64_t length = -1;       // of the body to come; -1: not said
  std::int64_t range_start = -1;  // of a 206
};

struct HttpRequest {
  std::string url;
  std::int64_t offset = 0;  // more than 0: from this byte on ...
  std::string if_range;     // ... if the file still is this one
  std::int64_t connect_timeout_ms = 0;
  std::int64_t stall_timeout_s = 0;
  int interrupt_fd = -1;
  // Of a 200 or 206: before its body, which may be empty; then the body. An error ends the request.
  std::function<absl::Status(const HttpHead&)> on_head;
  std::function<absl::Status(std::string_view)> on_bytes;
};

struct HttpResult {
  absl::Status status;     // OK: a 200 or 206 came whole
  long code = 0;           // 0: no answer
  bool transient = false;  // trying again may help
};

// At most five redirects, none from https to http. CANCELLED: interrupted.
[[nodiscard]] HttpResult HttpGet(const HttpRequest& request);

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_HTTP_GET_H_
