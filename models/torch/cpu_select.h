// Log-sum-exp and the best candidates of rows of scores, on the CPU.
#ifndef PETIT_MODELS_TORCH_CPU_SELECT_H_
#define PETIT_MODELS_TORCH_CPU_SELECT_H_

#include "absl/types/span.h"
#include "models/decoding/step.h"

namespace petit::torch_executor {

// Answers one row as step.h asks. `logits` [vocab_size] is overwritten: log-probabilities after edits. Edits' ids must
// lie in [0, vocab_size). A log_sum_exp that is NaN or +inf tells of logits that are.
decoding::RowResult CpuAnswerRow(float* logits, int vocab_size, const decoding::RowRequest& request);

// The same for all rows of `logits` [rows, vocab_size], in LibTorch's threads where they are many.
void CpuAnswerRows(float* logits, int vocab_size, absl::Span<const decoding::RowRequest* const> requests,
                   decoding::RowResult* results);

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_CPU_SELECT_H_
