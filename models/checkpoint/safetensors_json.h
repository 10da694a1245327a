// The JSON of a safetensors header as a stream of events: wrong structure ends the parse where it stands, so that
// nothing but what a header may hold is ever built in memory. Internal to this folder.
#ifndef PETIT_MODELS_CHECKPOINT_SAFETENSORS_JSON_H_
#define PETIT_MODELS_CHECKPOINT_SAFETENSORS_JSON_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/checkpoint/safetensors.h"

namespace petit::checkpoint {

// The entries as the JSON gives them: offsets relative to the data, not yet compared with anything. `path` is only
// for messages.
absl::StatusOr<std::vector<SafetensorsEntry>> ParseSafetensorsJson(absl::string_view text, const std::string& path);

}  // namespace petit::checkpoint

#endif  // PETIT_MODELS_CHECKPOINT_SAFETENSORS_JSON_H_
