// The process's log: spdlog's default logger, on standard error, one line an entry whatever the entry holds.
#ifndef PETIT_SERVER_LOG_H_
#define PETIT_SERVER_LOG_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/config/settings.h"
#include "spdlog/formatter.h"

namespace petit::serving {

// TEXT: "2026-11-29T22:57:01.123456+01:00 info MESSAGE", in local time.
// JSON: {"time":"2026-11-29T21:57:01.123456Z","level":"info","message":"..."}, in UTC (RFC 3339), ASCII alone; an entry
// of LogCall has the call's fields besides.
std::unique_ptr<spdlog::formatter> MakeLogFormatter(LogFormat format);

// `formatter`'s lines after "<N>", their priority as systemd's journal takes it (sd-daemon(3)) and takes it off.
std::unique_ptr<spdlog::formatter> WithPriority(std::unique_ptr<spdlog::formatter> formatter);

// Replaces the default logger; gRPC's and Protobuf's own messages go there too. With priorities where standard error is
// the journal. Once, before other threads start.
void SetUpLog(LogLevel level, LogFormat format);

// A call that has ended. What is empty is left out.
struct CallRecord {
  std::string method = {};  // "Translate"
  std::string request_id = {};
  std::string model = {};
  absl::StatusCode code = absl::StatusCode::kOk;
  int texts = 0;
  absl::Duration took = {};
  std::string error = {};
  std::string trace_id = {};  // the caller's, with span_id: traceparent's
  std::string span_id = {};
  std::string client = {};  // who called, where that is known
};

// TEXT: "METHOD request=ID model=NAME code=OK texts=1 seconds=0.012345 trace=ID span=ID client=NAME ERROR".
// JSON: the fields method, request_id, model, code, texts, seconds, trace_id, span_id, client, error.
// A defect of ours (INTERNAL, UNKNOWN, DATA_LOSS) is an error; a call that was cancelled without a text, which anybody
// can make by the million, is for debugging; whatever else a call ends with is information.
void LogCall(const CallRecord& call);

}  // namespace petit::serving

#endif  // PETIT_SERVER_LOG_H_
