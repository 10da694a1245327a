// The caller's place in a distributed trace, as W3C Trace Context has it (www.w3.org/TR/trace-context).
#ifndef PETIT_SERVER_RPC_TRACE_CONTEXT_H_
#define PETIT_SERVER_RPC_TRACE_CONTEXT_H_

#include <optional>
#include <string>
#include <string_view>

namespace petit::serving {

struct TraceContext {
  std::string trace_id;  // 32 lower-case hexadecimal digits, not all 0
  std::string span_id;   // 16 likewise: the caller's span
};

// Reads the header `traceparent`, "00-TRACE-SPAN-FLAGS". A later version may have more behind the flags. Nothing where
// it is malformed: the standard wants such a header ignored.
std::optional<TraceContext> ParseTraceparent(std::string_view header);

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_TRACE_CONTEXT_H_
