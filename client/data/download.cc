#include "client/data/download.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/data/http_get.h"
#include "client/data/raw_file.h"

namespace petit::data {
namespace {

using Json = nlohmann::json;

// Of which file some bytes are; what lies beside them.
struct Origin {
  std::string url;
  std::string validator;  // an ETag, or a date; empty: the server told neither, so there is no going on
  std::string sha256;     // of the whole file; empty: it is not whole
};

absl::StatusOr<Origin> ReadOrigin(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  const Json json = Json::parse(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>(), nullptr,
                                /*allow_exceptions=*/false);
  Origin origin;
  for (const auto& [name, field] :
       {std::pair{"url", &origin.url}, {"validator", &origin.validator}, {"sha256", &origin.sha256}}) {
    if (!json.is_object() || !json.contains(name) || !json[name].is_string()) {
      return absl::NotFoundError(absl::StrCat(path, " is not there or damaged"));
    }
    *field = json[name].get<std::string>();
  }
  return origin;
}

absl::Status WriteOrigin(const std::string& path, const Origin& origin) {
  const std::string temporary = path + ".new";
  std::ofstream stream(temporary, std::ios::binary | std::ios::trunc);
  stream << Json{{"url", origin.url}, {"validator", origin.validator}, {"sha256", origin.sha256}}.dump(
      -1, ' ', true, Json::error_handler_t::replace);
  stream.close();
  if (!stream || std::rename(temporary.c_str(), path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
  }
  return absl::OkStatus();
}

// A weak ETag promises only that the files mean the same.
std::string ValidatorOf(const HttpHead& head) {
  return head.etag.empty() || absl::StartsWith(head.etag, "W/") ? head.last_modified : head.etag;
}

absl::StatusOr<std::string> DigestFile(const std::string& path, int interrupt_fd) {
  absl::StatusOr<std::unique_ptr<RawFile>> file = RawFile::Open(path, interrupt_fd, /*digest=*/true);
  if (!file.ok()) return file.status();
  while (true) {
    const absl::StatusOr<std::string_view> bytes = (*file)->Read();
    if (!bytes.ok()) return bytes.status();
    if (bytes->empty()) return (*file)->Sha256();
  }
}

absl::Status WaitOrInterrupt(std::int64_t milliseconds, int interrupt_fd) {
  pollfd polled = {.fd = interrupt_fd, .events = POLLIN, .revents = 0};
  if (poll(&polled, 1, static_cast<int>(milliseconds)) > 0) return absl::CancelledError("interrupted");
  return absl::OkStatus();
}

class Fetch {
 public:
  explicit Fetch(const DownloadOptions& options)
      : options_(options),
        url_(WithoutPassword(options.url)),
        part_(options.path + ".part"),
        origin_path_(options.path + ".origin") {}
  ~Fetch() {
    if (fd_ >= 0) close(fd_);
  }
  Fetch(const Fetch&) = delete;
  Fetch& operator=(const Fetch&) = delete;

  absl::StatusOr<DownloadedFile> Run();

 private:
  absl::Status OpenPart();
  std::optional<DownloadedFile> FindWhole();
  absl::Status FetchAll();
  HttpResult Try();
  absl::Status Begin(const HttpHead& head);
  absl::Status Append(std::string_view bytes);
  absl::Status StartAgain();
  absl::StatusOr<DownloadedFile> Complete();
  [[nodiscard]] bool IsWanted(const std::string& sha256) const {
    return options_.sha256.empty() || absl::EqualsIgnoreCase(options_.sha256, sha256);
  }
  void Tell(const std::string& what) const {
    if (options_.tell) options_.tell(what);
  }

  const DownloadOptions& options_;
  const std::string url_;  // as it may be shown and kept
  const std::string part_;
  const std::string origin_path_;
  int fd_ = -1;
  Origin origin_;
  std::int64_t have_ = 0;
  std::int64_t total_ = 0;
  bool resumed_ = false;
  bool changed_ = false;  // the server's file, since what is there was fetched
};

absl::Status Fetch::OpenPart() {
  fd_ = open(part_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", part_));
  if (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(absl::StrCat("another process is fetching ", part_));
  }
  struct stat status = {};
  if (fstat(fd_, &status) == 0 && S_ISREG(status.st_mode)) have_ = status.st_size;
  absl::StatusOr<Origin> origin = ReadOrigin(origin_path_);
  if (origin.ok() && origin->url == url_ && origin->sha256.empty() && !origin->validator.empty()) {
    origin_ = *std::move(origin);
    return absl::OkStatus();
  }
  return StartAgain();
}

absl::Status Fetch::StartAgain() {
  origin_ = {};
  have_ = 0;
  resumed_ = false;
  // Devices cannot be cut, nor need they be.
  if (ftruncate(fd_, 0) != 0 && errno != EINVAL) return absl::ErrnoToStatus(errno, absl::StrCat("cannot cut ", part_));
  return absl::OkStatus();
}

// The file of an earlier run, if it still is what that run fetched.
std::optional<DownloadedFile> Fetch::FindWhole() {
  const absl::StatusOr<Origin> origin = ReadOrigin(origin_path_);
  if (!origin.ok() || origin->url != url_ || origin->sha256.empty()) return std::nullopt;
  const absl::StatusOr<std::string> sha256 = DigestFile(options_.path, options_.interrupt_fd);
  if (!sha256.ok() || *sha256 != origin->sha256 || !IsWanted(*sha256)) return std::nullopt;
  struct stat status = {};
  if (stat(options_.path.c_str(), &status) != 0) return std::nullopt;
  return DownloadedFile{.sha256 = *sha256, .bytes = status.st_size, .reused = true, .resumed = false};
}

// An answer has come: it goes on where we are, or from the start.
absl::Status Fetch::Begin(const HttpHead& head) {
  if (head.code == 206 && !ValidatorOf(head).empty() && ValidatorOf(head) != origin_.validator) {
    changed_ = true;  // and the server has not minded If-Range
    return absl::AbortedError(absl::StrCat(url_, " has changed"));
  }
  if (head.code == 206 && head.range_start != have_) {
    return absl::UnavailableError(
        absl::StrCat("the server sends bytes from ", head.range_start, " on where ", have_, " was asked for"));
  }
  if (head.code == 200) {
    if (have_ > 0) Tell("the server sends the file from its start: it has changed, or cannot be read in parts");
    if (absl::Status status = StartAgain(); !status.ok()) return status;
    origin_ = {.url = url_, .validator = ValidatorOf(head), .sha256 = ""};
    if (absl::Status status = WriteOrigin(origin_path_, origin_); !status.ok()) return status;
  } else {
    resumed_ = true;
  }
  if (lseek(fd_, have_, SEEK_SET) < 0 && errno != ESPIPE) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", part_));
  }
  total_ = head.length < 0 ? 0 : have_ + head.length;
  return absl::OkStatus();
}

absl::Status Fetch::Append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", part_));
    have_ += count;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  if (options_.progress) options_.progress(have_, total_);
  return absl::OkStatus();
}

HttpResult Fetch::Try() {
  const bool resume = have_ > 0 && !origin_.validator.empty();
  return HttpGet({.url = options_.url,
                  .offset = resume ? have_ : 0,
                  .if_range = origin_.validator,
                  .connect_timeout_ms = options_.patience.connect_timeout_ms,
                  .stall_timeout_s = options_.patience.stall_timeout_s,
                  .interrupt_fd = options_.interrupt_fd,
                  .on_head = [this](const HttpHead& head) { return Begin(head); },
                  .on_bytes = [this](std::string_view bytes) { return Append(bytes); }});
}

absl::Status Fetch::FetchAll() {
  std::int64_t best = have_;
  std::int64_t pause_ms = options_.patience.first_pause_ms;
  int failures = 0;
  bool restarted = false;
  while (true) {
    const HttpResult result = Try();
    if (result.status.ok()) return absl::OkStatus();
    // 416: the part is as long as the file, or longer.
    if ((result.code == 416 || changed_) && have_ > 0 && !std::exchange(restarted, true)) {
      Tell("what is there is not the server's file; starting again");
      if (absl::Status status = StartAgain(); !status.ok()) return status;
      continue;
    }
    if (!result.transient) return result.status;
    if (have_ > best) {
      best = have_;
      failures = 0;
      pause_ms = options_.patience.first_pause_ms;
    }
    if (++failures >= options_.patience.tries) return result.status;
    Tell(absl::StrCat(std::string(result.status.message()), "; trying again"));
    if (absl::Status status = WaitOrInterrupt(pause_ms, options_.interrupt_fd); !status.ok()) return status;
    pause_ms *= 2;
  }
}

absl::StatusOr<DownloadedFile> Fetch::Complete() {
  if (fsync(fd_) != 0 && errno != EINVAL) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", part_));
  absl::StatusOr<std::string> sha256 = DigestFile(part_, options_.interrupt_fd);
  if (!sha256.ok()) return sha256.status();
  if (!IsWanted(*sha256)) {
    unlink(part_.c_str());
    unlink(origin_path_.c_str());
    return absl::DataLossError(
        absl::StrCat(url_, " has the SHA-256 ", *sha256, "; ", absl::AsciiStrToLower(options_.sha256), " is wanted"));
  }
  if (std::rename(part_.c_str(), options_.path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot rename ", part_));
  }
  origin_.sha256 = *sha256;
  if (absl::Status status = WriteOrigin(origin_path_, origin_); !status.ok()) return status;
  return DownloadedFile{.sha256 = *std::move(sha256), .bytes = have_, .reused = false, .resumed = resumed_};
}

absl::StatusOr<DownloadedFile> Fetch::Run() {
  if (!absl::StartsWithIgnoreCase(options_.url, "https://") && !absl::StartsWithIgnoreCase(options_.url, "http://")) {
    return absl::InvalidArgumentError(absl::StrCat("\"", url_, "\" is not a URL like https://HOST/PATH"));
  }
  if (!options_.sha256.empty() &&
      (options_.sha256.size() != 64 ||
       !std::all_of(options_.sha256.begin(), options_.sha256.end(), absl::ascii_isxdigit))) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", options_.sha256, "\" is not a SHA-256; 64 hexadecimal digits are wanted"));
  }
  if (auto whole = FindWhole()) return *std::move(whole);
  if (absl::Status status = OpenPart(); !status.ok()) return status;
  if (absl::Status status = FetchAll(); !status.ok()) return status;
  return Complete();
}

}  // namespace

absl::StatusOr<DownloadedFile> FetchFile(const DownloadOptions& options) { return Fetch(options).Run(); }

std::string WithoutPassword(const std::string& url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string::npos) return url;
  const std::size_t host = scheme + 3;
  const std::size_t at = url.substr(0, std::min(url.find_first_of("/?#", host), url.size())).rfind('@');
  return at == std::string::npos || at < host ? url : url.substr(0, host) + url.substr(at + 1);
}

}  // namespace petit::data
