// The boundary at which LibTorch's exceptions become statuses.
#ifndef PETIT_MODELS_TORCH_GUARD_H_
#define PETIT_MODELS_TORCH_GUARD_H_

#include <c10/core/InferenceMode.h>

#include <string_view>

#include "absl/status/status.h"

namespace petit::torch_executor {

// Call in a catch block: the status of the exception in flight. RESOURCE_EXHAUSTED: memory, of the device or the host;
// INTERNAL: anything else. `doing` says what was tried ("encoding 3 sources").
absl::Status StatusOfException(std::string_view doing);

// Runs `f`, which returns absl::Status, without autograd and lets no exception out.
template <typename F>
absl::Status Guarded(std::string_view doing, F&& f) {
  try {
    const c10::InferenceMode no_autograd;
    return f();
  } catch (...) {
    return StatusOfException(doing);
  }
}

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_GUARD_H_
