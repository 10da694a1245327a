#include "client/data/http_get.h"

#include <curl/curl.h>

#include <array>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/data/download.h"

namespace petit::data {
namespace {

constexpr long kMaxRedirects = 5;
constexpr long kStallBytesPerSecond = 1024;
constexpr int kPollMs = 1000;

using Easy = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;
using Multi = std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)>;
using Headers = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

struct Transfer {
  const HttpRequest* request = nullptr;
  HttpHead head;
  bool told_head = false;
  absl::Status status;  // of the callbacks
};

bool HasBody(long code) { return code == 200 || code == 206; }

absl::Status TellHead(Transfer& transfer) {
  if (transfer.told_head || !HasBody(transfer.head.code)) return absl::OkStatus();
  transfer.told_head = true;
  return transfer.request->on_head(transfer.head);
}

// "HTTP/1.1 206 Partial Content", then "name: value"s; again for every redirect.
std::size_t OnHeader(char* data, std::size_t size, std::size_t count, void* user) {
  HttpHead& head = static_cast<Transfer*>(user)->head;
  const absl::string_view line(data, size * count);
  if (absl::StartsWith(line, "HTTP/")) {
    head = {};
    const std::size_t space = line.find(' ');
    int code = 0;
    if (space != absl::string_view::npos && absl::SimpleAtoi(line.substr(space + 1, 3), &code)) head.code = code;
    return line.size();
  }
  const std::size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return line.size();
  const std::string name = absl::AsciiStrToLower(line.substr(0, colon));
  absl::string_view value = absl::StripAsciiWhitespace(line.substr(colon + 1));
  if (name == "etag") head.etag = std::string(value);
  if (name == "last-modified") head.last_modified = std::string(value);
  if (name == "content-length" && !absl::SimpleAtoi(value, &head.length)) head.length = -1;
  if (name == "content-range" && absl::ConsumePrefix(&value, "bytes ") &&
      !absl::SimpleAtoi(value.substr(0, value.find('-')), &head.range_start)) {
    head.range_start = -1;
  }
  return line.size();
}

std::size_t OnBody(char* data, std::size_t size, std::size_t count, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  const std::size_t bytes = size * count;
  if (!HasBody(transfer.head.code)) return bytes;  // an error's page
  transfer.status = TellHead(transfer);
  if (transfer.status.ok()) transfer.status = transfer.request->on_bytes({data, bytes});
  return transfer.status.ok() ? bytes : CURL_WRITEFUNC_ERROR;
}

bool IsTransient(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return true;
    default:
      return false;
  }
}

absl::Status OfHttp(long code, const std::string& url) {
  const std::string message = absl::StrCat("the server answers ", code, " for ", url);
  if (code == 404 || code == 410) return absl::NotFoundError(message);
  if (code == 401 || code == 403 || code == 407) return absl::PermissionDeniedError(message);
  return absl::UnavailableError(message);
}

void SetOptions(CURL* easy, const HttpRequest& request, const Headers& headers, char* error, Transfer* transfer) {
  const bool secure = absl::StartsWithIgnoreCase(request.url, "https:");
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(easy, CURLOPT_MAXREDIRS, kMaxRedirects);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_timeout_ms));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, kStallBytesPerSecond);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.stall_timeout_s));
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // not to wait for a name server after Ctrl-C
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "petit");
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
}

// Runs to its end; CURLE_OK and CANCELLED where it was interrupted.
absl::StatusOr<CURLcode> Perform(CURLM* multi, int interrupt_fd) {
  while (true) {
    int running = 0;
    CURLMcode code = curl_multi_perform(multi, &running);
    if (code == CURLM_OK && running == 0) {
      int left = 0;
      const CURLMsg* message = curl_multi_info_read(multi, &left);
      return message == nullptr ? CURLE_FAILED_INIT : message->data.result;
    }
    curl_waitfd interrupt = {.fd = interrupt_fd, .events = CURL_WAIT_POLLIN, .revents = 0};
    if (code == CURLM_OK) {
      code = curl_multi_poll(multi, &interrupt, interrupt_fd >= 0 ? 1 : 0, kPollMs, nullptr);
    }
    if (code != CURLM_OK) return absl::InternalError(absl::StrCat("libcurl: ", curl_multi_strerror(code)));
    if (interrupt.revents != 0) return absl::CancelledError("interrupted");
  }
}

}  // namespace

HttpResult HttpGet(const HttpRequest& request) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  const Easy easy(curl_easy_init(), curl_easy_cleanup);
  const Multi multi(curl_multi_init(), curl_multi_cleanup);
  if (initialised != CURLE_OK || easy == nullptr || multi == nullptr) {
    return {.status = absl::InternalError("libcurl cannot be used"), .code = 0, .transient = false};
  }
  Headers headers(nullptr, curl_slist_free_all);
  if (request.offset > 0) {
    headers.reset(curl_slist_append(nullptr, absl::StrCat("Range: bytes=", request.offset, "-").c_str()));
    headers.reset(curl_slist_append(headers.release(), absl::StrCat("If-Range: ", request.if_range).c_str()));
  }
  std::array<char, CURL_ERROR_SIZE> error = {};
  Transfer transfer{.request = &request, .head = {}, .told_head = false, .status = {}};
  SetOptions(easy.get(), request, headers, error.data(), &transfer);
  curl_multi_add_handle(multi.get(), easy.get());
  const absl::StatusOr<CURLcode> done = Perform(multi.get(), request.interrupt_fd);
  curl_multi_remove_handle(multi.get(), easy.get());

  HttpResult result{.status = done.status(), .code = transfer.head.code, .transient = false};
  const std::string url = WithoutPassword(request.url);
  if (!done.ok()) return result;
  if (!transfer.status.ok()) {
    result.status = transfer.status;
  } else if (*done != CURLE_OK) {
    const std::string reason = error[0] != '\0' ? error.data() : curl_easy_strerror(*done);
    result.status = absl::UnavailableError(absl::StrCat("cannot fetch ", url, ": ", reason));
    result.transient = IsTransient(*done);
  } else if (!HasBody(result.code)) {
    result.status = OfHttp(result.code, url);
    result.transient = result.code == 408 || result.code == 429 || result.code >= 500;
  } else {
    result.status = TellHead(transfer);  // of an empty body
  }
  return result;
}

}  // namespace petit::data
