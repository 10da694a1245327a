#include "models/distill/teacher.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "models/distill/rows.h"
#include "models/torch/forward.h"
#include "models/torch/guard.h"
#include "models/torch/weights.h"

namespace petit::distill {
namespace {

constexpr std::int64_t kLogitBytes = std::int64_t{16} << 20;  // of one chunk

// Appends sequences that nobody asked for, so that the numbers of tokens become RowsToCompute's: the inference kernels
// compute what they are given. Their attention costs little as they are short.
void AddIdleSequences(torch_executor::PackedIds* sources, torch_executor::PackedIds* inputs) {
  const auto missing = [](const torch_executor::PackedIds& ids) {
    const auto tokens = static_cast<std::int64_t>(ids.ids.size());
    return RowsToCompute(tokens + 1) - tokens;
  };
  const std::int64_t source_tokens = missing(*sources);
  const std::int64_t input_tokens = missing(*inputs);
  constexpr std::int64_t kShort = 16;
  const std::int64_t sequences =
      std::min({(std::max(source_tokens, input_tokens) + kShort - 1) / kShort, source_tokens, input_tokens});
  const auto append = [sequences](std::int64_t tokens, torch_executor::PackedIds* ids) {
    for (std::int64_t i = 0; i < sequences; ++i) {
      const std::int64_t length = tokens * (i + 1) / sequences - tokens * i / sequences;
      ids->Append(std::vector<TokenId>(static_cast<std::size_t>(length), 0));
    }
  };
  append(source_tokens, sources);
  append(input_tokens, inputs);
}

}  // namespace

struct Teacher::Impl {
  torch_executor::ModelWeights weights;
  std::unique_ptr<torch_executor::Forward> forward;
  std::int64_t distribution_size = 0;
  std::int64_t forwards = 0;
};

Teacher::Teacher(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Teacher::~Teacher() = default;

absl::StatusOr<std::unique_ptr<Teacher>> Teacher::Load(const checkpoint::Checkpoint& checkpoint, at::Device device,
                                                       TrainingPrecision precision, std::int64_t distribution_size) {
  auto impl = std::make_unique<Impl>();
  try {
    const at::NoGradGuard no_gradient;
    impl->weights = torch_executor::LoadWeights(
        checkpoint,
        precision == TrainingPrecision::kBf16 ? torch_executor::Precision::kBf16 : torch_executor::Precision::kFp32,
        device);
  } catch (...) {
    return torch_executor::StatusOfException("loading the teacher");
  }
  impl->forward = std::make_unique<torch_executor::Forward>(impl->weights, /*generic=*/false);
  impl->distribution_size = distribution_size;
  return std::unique_ptr<Teacher>(new Teacher(std::move(impl)));
}

TeacherOutputs Teacher::Run(const Batch& batch, double temperature, int top_k, bool want_encoded) {
  const at::NoGradGuard no_gradient;
  ++impl_->forwards;
  torch_executor::PackedIds sources{.ids = batch.sources, .lengths = batch.source_lengths};
  torch_executor::PackedIds inputs{.ids = batch.inputs, .lengths = batch.target_lengths};
  AddIdleSequences(&sources, &inputs);
  const at::Tensor encoded = impl_->forward->Encode(sources);
  const at::Tensor hidden = impl_->forward->DecodeForced(inputs, encoded, sources.lengths);
  const std::int64_t tokens = batch.target_tokens();
  const std::int64_t n = impl_->distribution_size;
  const std::int64_t chunk = std::max<std::int64_t>(
      kRowUnit, kLogitBytes / (std::int64_t{4} * impl_->weights.config.vocab_size) / kRowUnit * kRowUnit);
  TeacherOutputs outputs;
  if (want_encoded) outputs.encoded = encoded.narrow(0, 0, batch.source_tokens()).to(at::kFloat);
  if (top_k == 0) {
    outputs.targets.log_probs = at::empty({tokens, n}, hidden.options().dtype(at::kFloat));
  }
  std::vector<at::Tensor> ids;
  std::vector<at::Tensor> log_probs;
  std::vector<at::Tensor> rests;
  for (std::int64_t first = 0; first < tokens; first += chunk) {
    const std::int64_t rows = std::min(chunk, tokens - first);
    const std::int64_t computed = std::min(hidden.size(0) - first, RowsToCompute(rows));
    const at::Tensor logits = impl_->forward->Logits(hidden.narrow(0, first, computed));
    const at::Tensor all = LogProbs(logits.narrow(0, 0, rows), n, temperature);
    if (top_k == 0) {
      outputs.targets.log_probs.narrow(0, first, rows).copy_(all);
      continue;
    }
    const auto [top, index] = all.topk(std::min<std::int64_t>(top_k, n), 1);
    ids.push_back(index.to(at::kInt));
    log_probs.push_back(top);
    rests.push_back(all.exp().scatter(1, index, 0).sum(1).log());
  }
  if (top_k > 0) {
    outputs.targets.top_ids = at::cat(ids).contiguous();
    outputs.targets.top_log_probs = at::cat(log_probs).contiguous();
    outputs.targets.rest_log_probs = at::cat(rests).contiguous();
  }
  return outputs;
}

int Teacher::d_model() const { return impl_->weights.config.d_model; }
std::int64_t Teacher::forwards() const { return impl_->forwards; }

}  // namespace petit::distill
