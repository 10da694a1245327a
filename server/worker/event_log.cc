#include "server/worker/event_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/time_util.h"

namespace petit::worker {
namespace {

constexpr std::chrono::seconds kHeartbeat(5);

// TimeUtil's own GetCurrentTime knows whole seconds only.
google::protobuf::Timestamp Now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventLog>> EventLog::Create(const std::string& path) {
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor < 0) {
    const std::string what = absl::StrCat(path, ": ", std::strerror(errno));
    return errno == EEXIST ? absl::AlreadyExistsError(absl::StrCat(what, "; each attempt needs a number of its own"))
                           : absl::UnavailableError(what);
  }
  std::unique_ptr<EventLog> log(new EventLog(descriptor));
  try {
    log->heart_ = std::thread([raw = log.get()] { raw->Beat(); });
  } catch (const std::system_error& error) {  // the first thing that a tight memory limit forbids
    const std::string reason =
        absl::StrCat("out of memory: no thread can be started: ", error.what(), "; raise resources.memory_bytes");
    v1::WorkerEvent event;
    event.mutable_failed()->set_reason(reason);
    log->AppendLast(std::move(event));
    return absl::ResourceExhaustedError(reason);
  }
  return log;
}

EventLog::~EventLog() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  if (heart_.joinable()) heart_.join();
  close(descriptor_);
}

void EventLog::Beat() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopped_.wait_for(lock, kHeartbeat, [this] { return stopping_; })) {
    if (quiet_) {
      v1::WorkerEvent event;
      event.mutable_heartbeat();
      AppendLocked(std::move(event));
    }
    quiet_ = true;
  }
}

void EventLog::Append(v1::WorkerEvent event) {
  const std::lock_guard<std::mutex> lock(mutex_);
  quiet_ = false;
  AppendLocked(std::move(event));
}

void EventLog::AppendLast(v1::WorkerEvent event) {
  const std::lock_guard<std::mutex> lock(mutex_);
  stopping_ = true;  // nothing follows it
  AppendLocked(std::move(event));
  fdatasync(descriptor_);
}

void EventLog::AppendLocked(v1::WorkerEvent event) {
  if (!status_.ok()) return;  // a gap would be worse than an end
  event.set_sequence(++sequence_);
  *event.mutable_time() = Now();
  std::string line;
  if (!google::protobuf::util::MessageToJsonString(event, &line).ok()) {
    status_ = absl::InternalError("an event cannot be written as JSON");
    return;
  }
  line.push_back('\n');
  std::size_t done = 0;
  while (done < line.size()) {
    const ssize_t n = write(descriptor_, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      status_ = errno == ENOSPC || errno == EDQUOT
                    ? absl::ResourceExhaustedError("events.jsonl cannot be written: the disk is full")
                    : absl::UnavailableError(absl::StrCat("events.jsonl cannot be written: ", std::strerror(errno)));
      return;
    }
    done += static_cast<std::size_t>(n);
  }
}

absl::Status EventLog::status() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return status_;
}

}  // namespace petit::worker
