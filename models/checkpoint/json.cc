#include "models/checkpoint/json.h"

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace petit::checkpoint {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 16;

// The parser's callback: sees every event and remembers the first thing that the parser itself lets pass.
class Guard {
 public:
  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    if (!problem_.empty()) return false;  // discards the value: nothing more is built
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        if (depth >= kMaxDepth) {
          problem_ = absl::StrCat("is nested deeper than ", kMaxDepth, " levels");
          return false;
        }
        if (event == json::parse_event_t::object_start) keys_.emplace_back();
        break;
      case json::parse_event_t::object_end:
        keys_.pop_back();
        break;
      case json::parse_event_t::key: {
        const auto& key = parsed.get_ref<const std::string&>();
        if (!keys_.back().insert(key).second) problem_ = absl::StrCat("has the key ", Quote(key), " twice");
        break;
      }
      default:
        break;
    }
    return problem_.empty();
  }

  const std::string& problem() const { return problem_; }

 private:
  std::vector<std::set<std::string>> keys_;  // of the objects that are open now
  std::string problem_;
};

}  // namespace

std::string Quote(absl::string_view text) {
  constexpr std::size_t kMaxBytes = 128;
  const bool cut = text.size() > kMaxBytes;
  return absl::StrCat("'", absl::Utf8SafeCHexEscape(text.substr(0, kMaxBytes)), cut ? "..." : "", "'");
}

absl::StatusOr<json> ParseJsonObject(absl::string_view text, const std::string& path) {
  // The parser takes a NUL for the end and would not see what follows.
  if (text.find('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": contains a NUL byte; expected JSON text"));
  }
  Guard guard;
  json parsed = json::parse(
      text.begin(), text.end(),
      [&guard](int depth, json::parse_event_t event, json& value) { return guard(depth, event, value); },
      /*allow_exceptions=*/false);
  if (!guard.problem().empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", guard.problem()));
  if (!parsed.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is not well-formed JSON with an object at the top"));
  }
  return parsed;
}

}  // namespace petit::checkpoint
