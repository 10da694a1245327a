// Looks for infinities and NaNs in raw tensor data. Internal to this folder.
#ifndef PETIT_MODELS_CHECKPOINT_FINITE_H_
#define PETIT_MODELS_CHECKPOINT_FINITE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/types/span.h"
#include "models/checkpoint/checkpoint.h"

namespace petit::checkpoint {

// The index of the first element that is no finite number, or nothing. `data` may be unaligned; it holds whole
// elements.
std::optional<std::int64_t> FirstNonFinite(DType dtype, absl::Span<const std::byte> data);

// "NaN", "+Inf" or "-Inf": the non-finite element at `index`.
std::string NonFiniteName(DType dtype, absl::Span<const std::byte> data, std::int64_t index);

}  // namespace petit::checkpoint

#endif  // PETIT_MODELS_CHECKPOINT_FINITE_H_
