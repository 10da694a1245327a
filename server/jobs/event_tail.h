// Reads what a worker has appended to its attempt's events.jsonl.
#ifndef PETIT_SERVER_JOBS_EVENT_TAIL_H_
#define PETIT_SERVER_JOBS_EVENT_TAIL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "petit/worker/v1/worker.pb.h"

namespace petit::serving {

// Longest line, and the most that one call reads, in bytes.
inline constexpr std::int64_t kMaxEventBytes = 1 << 20;

// Up to where the file has been read: always the start of a line.
struct TailPosition {
  std::int64_t offset = 0;    // bytes
  std::int64_t sequence = 0;  // of the event before it
};

struct TailBatch {
  std::vector<worker::v1::WorkerEvent> events;
  TailPosition end;
  // There may be more complete lines after `end`.
  bool more = false;
  // What is wrong right after `end`; the events before it are good. DATA_LOSS: a line that is no event, a gap in the
  // sequence, a line without end, a file that has shrunk. Reading again does not help.
  absl::Status damage;
};

// The events after `begin` whose lines are complete. None where there is no file yet. An error status: the file could
// not be read this time.
absl::StatusOr<TailBatch> ReadEvents(const std::string& path, TailPosition begin);

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_EVENT_TAIL_H_
