#include "server/warm_up.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/blocking_counter.h"
#include "models/tokenizer/tokenizer.h"

namespace petit::serving {
namespace {

constexpr int kBatchSizes[] = {1, 4};
constexpr int kNewTokens = 4;

absl::Status TranslateBatch(const ServedModel& model, engine::Replica* replica,
                            const std::vector<engine::TokenId>& source_ids, int size) {
  std::vector<absl::Status> statuses(size);
  absl::BlockingCounter missing(size);
  std::vector<engine::SequenceRequest> requests;
  for (absl::Status& status : statuses) {
    engine::SequenceRequest request;
    request.source_ids = source_ids;
    request.options.max_new_tokens = std::min(kNewTokens, model.settings.max_new_tokens_limit);
    request.done = [&status, &missing](const absl::StatusOr<engine::SequenceResult>& result) {
      status = result.status();
      missing.DecrementCount();
    };
    requests.push_back(std::move(request));
  }
  if (absl::Status status = replica->Submit(std::move(requests)); !status.ok()) return status;
  missing.Wait();
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WarmUp(const ServedModel& model) {
  const std::string prompt = model.settings.prompts.empty() ? "" : model.settings.prompts.front().prefix;
  const std::vector<engine::TokenId> source_ids = model.tokenizer->Encode(prompt + "Hello, world.").ids;
  const int most = std::max(1, std::min(model.settings.batching.max_rows, model.settings.batching.max_queue_length));
  for (std::size_t i = 0; i < model.replicas->size(); ++i) {
    for (const int size : kBatchSizes) {
      absl::Status status = TranslateBatch(model, &model.replicas->replica(i), source_ids, std::min(size, most));
      if (!status.ok()) return status;
      if (size >= most) break;
    }
  }
  return absl::OkStatus();
}

}  // namespace petit::serving
