#include "models/torch/torch_executor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "models/torch/decoder_step.h"
#include "models/torch/device.h"
#include "models/torch/forward.h"
#include "models/torch/guard.h"
#include "models/torch/score.h"
#include "models/torch/threads.h"
#include "models/torch/weights.h"

namespace petit::torch_executor {
namespace {

const char* PrecisionName(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return "FP32";
    case Precision::kBf16:
      return "BF16";
    case Precision::kInt8:
      return "INT8";
  }
  return "";
}

class TorchExecutor : public engine::Executor {
 public:
  TorchExecutor(std::shared_ptr<const ModelWeights> weights, engine::ExecutorInfo info, int threads, bool generic)
      : info_(std::move(info)),
        threads_(threads),
        weights_(std::move(weights)),
        forward_(*weights_, generic),
        decoder_(&forward_) {}

  const engine::ExecutorInfo& info() const override { return info_; }

  std::int64_t Footprint(int source_tokens, int max_new_tokens, int rows) const override {
    return decoder_.Footprint(source_tokens, max_new_tokens, rows);
  }

  absl::Status Admit(absl::Span<const engine::Newcomer> newcomers) override {
    const WithThreads threads(threads_);
    return Guarded("encoding", [&] { return decoder_.Admit(newcomers); });
  }

  absl::Status Step(absl::Span<const engine::StepRow> rows, std::vector<decoding::RowResult>* results) override {
    const WithThreads threads(threads_);
    absl::Status status = Guarded("a decoder step", [&] { return decoder_.Step(rows, results); });
    if (!status.ok()) decoder_.DropRows();
    return status;
  }

  absl::StatusOr<std::vector<engine::ScoreResult>> Score(absl::Span<const engine::ScorePair> pairs) override {
    const WithThreads threads(threads_);
    std::vector<engine::ScoreResult> results;
    absl::Status status = Guarded("scoring", [&] {
      auto scored = torch_executor::Score(pairs, info_.distribution_size, &forward_);
      if (!scored.ok()) return scored.status();
      results = *std::move(scored);
      return absl::OkStatus();
    });
    if (!status.ok()) return status;
    return results;
  }

  void Release(absl::Span<const engine::Slot> slots) override { decoder_.Release(slots); }

 private:
  const engine::ExecutorInfo info_;
  const int threads_;
  const std::shared_ptr<const ModelWeights> weights_;
  Forward forward_;
  DecoderStep decoder_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<engine::Executor>> MakeTorchExecutor(const checkpoint::Checkpoint& checkpoint,
                                                                    const TorchOptions& options) {
  auto executors = MakeTorchExecutors(checkpoint, options, 1);
  if (!executors.ok()) return executors.status();
  return std::move(executors->front());
}

absl::StatusOr<std::vector<std::unique_ptr<engine::Executor>>> MakeTorchExecutors(
    const checkpoint::Checkpoint& checkpoint, const TorchOptions& options, int count) {
  const absl::StatusOr<c10::Device> device = ResolveDevice(options.device);
  if (!device.ok()) return device.status();
  if (options.precision == Precision::kInt8 && !device->is_cpu()) {
    return absl::InvalidArgumentError(
        absl::StrCat("precision INT8 runs on the CPU only, not on '", options.device, "'; BF16 runs there"));
  }
  const int vocab_size = checkpoint.config().vocab_size;
  if (options.distribution_size < 0 || options.distribution_size > vocab_size) {
    return absl::InvalidArgumentError(absl::StrCat("distribution_size is ", options.distribution_size,
                                                   "; it must be between 0 and vocab_size, ", vocab_size));
  }
  std::vector<std::unique_ptr<engine::Executor>> executors;
  absl::Status status = Guarded(absl::StrCat("loading ", checkpoint.directory()), [&] {
    const auto weights = std::make_shared<const ModelWeights>(LoadWeights(checkpoint, options.precision, *device));
    const engine::ExecutorInfo info = {
        .executor = "TORCH",
        .device = device->str(),
        .precision = PrecisionName(options.precision),
        .vocab_size = vocab_size,
        .distribution_size = options.distribution_size == 0 ? vocab_size : options.distribution_size,
        .parameters = checkpoint.parameters(),
        .weight_bytes = weights->weight_bytes,
    };
    const int threads = options.threads > 0 ? options.threads : ThreadsFor(weights->weight_bytes, count);
    for (int i = 0; i < count; ++i) {
      executors.push_back(std::make_unique<TorchExecutor>(weights, info, threads, options.force_generic_attention));
    }
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return executors;
}

}  // namespace petit::torch_executor
