#include "server/rpc/trace_context.h"

#include <algorithm>
#include <cstddef>

namespace petit::serving {
namespace {

constexpr std::size_t kVersion = 2;
constexpr std::size_t kTraceId = 32;
constexpr std::size_t kSpanId = 16;
constexpr std::size_t kFlags = 2;

// Takes so many lower-case hexadecimal digits off the front; empty where they are not there.
std::string_view TakeHex(std::size_t digits, std::string_view* text) {
  const std::string_view taken = text->substr(0, digits);
  const bool hex =
      std::all_of(taken.begin(), taken.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (taken.size() != digits || !hex) return {};
  text->remove_prefix(digits);
  return taken;
}

bool TakeDash(std::string_view* text) {
  if (!text->starts_with('-')) return false;
  text->remove_prefix(1);
  return true;
}

bool AllZero(std::string_view digits) { return digits.find_first_not_of('0') == std::string_view::npos; }

}  // namespace

std::optional<TraceContext> ParseTraceparent(std::string_view header) {
  const std::string_view version = TakeHex(kVersion, &header);
  if (version.empty() || version == "ff" || !TakeDash(&header)) return std::nullopt;
  const std::string_view trace_id = TakeHex(kTraceId, &header);
  if (AllZero(trace_id) || !TakeDash(&header)) return std::nullopt;  // an absent one is all zeros too
  const std::string_view span_id = TakeHex(kSpanId, &header);
  if (AllZero(span_id) || !TakeDash(&header)) return std::nullopt;
  if (TakeHex(kFlags, &header).empty()) return std::nullopt;
  if (!header.empty() && (version == "00" || header[0] != '-')) return std::nullopt;
  return TraceContext{.trace_id = std::string(trace_id), .span_id = std::string(span_id)};
}

}  // namespace petit::serving
