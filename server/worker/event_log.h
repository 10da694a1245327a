// events.jsonl: what the worker tells the server.
#ifndef PETIT_SERVER_WORKER_EVENT_LOG_H_
#define PETIT_SERVER_WORKER_EVENT_LOG_H_

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "petit/worker/v1/worker.pb.h"

namespace petit::worker {

// Appends events, each a line of its own, with its sequence number and time; a heartbeat where nothing else was written
// for some seconds. Thread-safe.
class EventLog {
 public:
  // ALREADY_EXISTS: this attempt has written events before; it must not go on. RESOURCE_EXHAUSTED: there is no memory
  // for the heartbeat's thread; the log says so as the attempt's failure.
  static absl::StatusOr<std::unique_ptr<EventLog>> Create(const std::string& path);
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  // Disk full and the like: the event is lost, and the first such error is kept for `status`.
  void Append(v1::WorkerEvent event);
  // Append, and wait for the disk.
  void AppendLast(v1::WorkerEvent event);
  absl::Status status() const;

 private:
  explicit EventLog(int descriptor) : descriptor_(descriptor) {}
  void AppendLocked(v1::WorkerEvent event);
  void Beat();

  mutable std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  bool quiet_ = true;  // since the last beat
  const int descriptor_;
  std::int64_t sequence_ = 0;
  absl::Status status_;
  std::thread heart_;
};

}  // namespace petit::worker

#endif  // PETIT_SERVER_WORKER_EVENT_LOG_H_
