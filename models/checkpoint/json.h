// JSON of files that nobody vouches for: no exceptions, no duplicate keys, bounded depth. Internal to this folder.
#ifndef PETIT_MODELS_CHECKPOINT_JSON_H_
#define PETIT_MODELS_CHECKPOINT_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace petit::checkpoint {

// Text from a file, fit for an error message: quoted, escaped, cut after 128 bytes.
std::string Quote(absl::string_view text);

// Parses an object of at most 16 levels. `path` is only for messages. INVALID_ARGUMENT: not JSON, not an object, too
// deep, or a key twice in one object (RFC 8259 leaves its meaning open: readers would disagree about the model).
absl::StatusOr<nlohmann::json> ParseJsonObject(absl::string_view text, const std::string& path);

}  // namespace petit::checkpoint

#endif  // PETIT_MODELS_CHECKPOINT_JSON_H_
