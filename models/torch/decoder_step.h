// Slots, rows and their key/value cache; one decoder step over all rows.
#ifndef PETIT_MODELS_TORCH_DECODER_STEP_H_
#define PETIT_MODELS_TORCH_DECODER_STEP_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "models/engine/executor.h"
#include "models/torch/cpu_attention.h"
#include "models/torch/forward.h"
#include "models/torch/page_pool.h"

namespace petit::torch_executor {

// Admit, Step, Release and Footprint as engine::Executor's. May throw LibTorch's exceptions; after one in Step,
// DropRows must be called.
class DecoderStep {
 public:
  explicit DecoderStep(Forward* forward);

  std::int64_t Footprint(int source_tokens, int max_new_tokens, int rows) const;
  absl::Status Admit(absl::Span<const engine::Newcomer> newcomers);
  absl::Status Step(absl::Span<const engine::StepRow> rows, std::vector<decoding::RowResult>* results);
  void Release(absl::Span<const engine::Slot> slots);
  void DropRows();

  int pages_in_use() const { return pool_.pages_in_use(); }

 private:
  struct Source {
    int length = 0;
    std::vector<int> pages;
  };
  struct Row {
    int length = 0;  // positions in the cache
    std::vector<int> pages;
  };
  // The keys that the rows of a step attend to.
  struct KeySet {
    std::vector<RowKeys> rows;
    // Tensor operations only: [rows, pages] int64, and an addend of the scores [rows, heads or 1, 1, keys], fp32.
    at::Tensor table;
    at::Tensor mask;
  };

  absl::Status CheckNewcomers(absl::Span<const engine::Newcomer> newcomers) const;
  absl::Status CheckRows(absl::Span<const engine::StepRow> rows) const;
  void MoveRows(absl::Span<const engine::StepRow> rows);
  void StoreSource(int layer, const at::Tensor& kv, const std::vector<Source>& sources) const;
  void StoreRows(int layer, const at::Tensor& kv) const;
  void PrepareTensors(KeySet* keys, bool biased) const;
  at::Tensor Attend(int layer, const at::Tensor& query, const KeySet& keys, const at::Tensor& bias) const;
  void UnrefAll(absl::Span<const int> pages);

  Forward& forward_;
  const ModelWeights& weights_;
  PagePool pool_;
  absl::flat_hash_map<engine::Slot, Source> sources_;
  std::vector<Row> rows_;  // in the order of the last step
};

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_DECODER_STEP_H_
