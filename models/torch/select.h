// The best candidates of the rows of a step, chosen where the logits are.
#ifndef PETIT_MODELS_TORCH_SELECT_H_
#define PETIT_MODELS_TORCH_SELECT_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "models/decoding/step.h"

namespace petit::torch_executor {

// `logits` [rows, vocab_size], fp32, contiguous; overwritten. On the CPU equal candidates come by ascending id. With
// `generic` (and off the CPU) tensor operations choose, whose order of equal ones is open.
// INTERNAL: logits that are NaN or +inf.
absl::Status Select(const at::Tensor& logits, absl::Span<const decoding::RowRequest* const> requests, bool generic,
                    std::vector<decoding::RowResult>* results);

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_SELECT_H_
