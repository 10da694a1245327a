#include "models/distill/generate.h"

#include <cstddef>
#include <utility>

#include "models/torch/threads.h"
#include "models/torch/torch_executor.h"

namespace petit::distill {

absl::StatusOr<Generator> Generator::Load(const checkpoint::Checkpoint& checkpoint, const GenerateOptions& options) {
  auto executor = torch_executor::MakeTorchExecutor(
      checkpoint, {.precision = options.precision == TrainingPrecision::kBf16 ? torch_executor::Precision::kBf16
                                                                              : torch_executor::Precision::kFp32,
                   .device = options.device,
                   .distribution_size = options.distribution_size,
                   .threads = torch_executor::TorchThreads()});  // nothing else runs meanwhile
  if (!executor.ok()) return executor.status();
  engine::ReplicaOptions replica;
  replica.special.decoder_start = checkpoint.generation_config().decoder_start_token_id;
  replica.special.eos = checkpoint.generation_config().eos_token_ids;
  Generator generator;
  generator.loop_ = std::make_unique<engine::ReplicaLoop>(*std::move(executor), replica);
  generator.options_ = options;
  return generator;
}

absl::StatusOr<std::vector<std::vector<TokenId>>> Generator::Run(const std::vector<std::vector<TokenId>>& sources,
                                                                 const std::function<bool()>& stop) {
  constexpr std::size_t kQueued = 128;
  std::vector<std::vector<TokenId>> results(sources.size());
  absl::Status failure;
  std::size_t next = 0;
  std::size_t waiting = 0;
  while (next < sources.size() || waiting > 0) {
    while (next < sources.size() && waiting < kQueued) {
      engine::SequenceRequest request;
      request.source_ids = sources[next];
      request.options.max_new_tokens = options_.max_new_tokens;
      request.options.num_beams = options_.beams;
      request.done = [&results, &failure, &waiting, next](absl::StatusOr<engine::SequenceResult> result) {
        --waiting;
        if (result.ok()) {
          results[next] = std::move(result->hypotheses[0].ids);
        } else {
          failure.Update(result.status());
        }
      };
      if (absl::Status status = loop_->Enqueue(std::move(request)); !status.ok()) {
        loop_->FailAll(status);
        return status;
      }
      ++waiting;
      ++next;
    }
    loop_->RunOnce();
    if (failure.ok() && stop != nullptr && stop()) failure = absl::CancelledError("asked to stop");
    if (!failure.ok()) {
      absl::Status first = std::exchange(failure, absl::OkStatus());  // FailAll's callbacks set it again
      loop_->FailAll(first);
      return first;
    }
  }
  return results;
}

}  // namespace petit::distill
