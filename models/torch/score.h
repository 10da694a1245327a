// Scoring of given targets under teacher forcing.
#ifndef PETIT_MODELS_TORCH_SCORE_H_
#define PETIT_MODELS_TORCH_SCORE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/engine/executor.h"
#include "models/torch/forward.h"

namespace petit::torch_executor {

// As engine::Executor::Score, for the first `distribution_size` ids. Pairs of like lengths are computed together, a
// bounded number of tokens at a time. May throw LibTorch's exceptions.
absl::StatusOr<std::vector<engine::ScoreResult>> Score(absl::Span<const engine::ScorePair> pairs, int distribution_size,
                                                       Forward* forward);

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_SCORE_H_
