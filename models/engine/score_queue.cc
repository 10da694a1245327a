#include "models/engine/score_queue.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

#include "absl/strings/str_format.h"
#include "models/engine/late.h"

namespace petit::engine {
namespace {

std::int64_t Tokens(const QueuedScore& pair) {
  return static_cast<std::int64_t>(pair.request.source_ids.size() + pair.request.target_ids.size());
}

void Answer(QueuedScore& pair, absl::StatusOr<ScoreResult> result, Intake* intake) {
  intake->Answered(pair);
  // Taken out first: what `done` holds is let go of as soon as it returns.
  const auto done = std::move(pair.request.done);
  done(std::move(result));
}

}  // namespace

bool ScoreQueue::DropLate() {
  if (pairs_.empty()) return false;
  const absl::Time now = options_.clock();
  const auto in_time = [now](const std::unique_ptr<QueuedScore>& pair) {
    return !IsCancelled(pair->request.cancelled) && now < pair->request.deadline;
  };
  const auto first_late = std::stable_partition(pairs_.begin(), pairs_.end(), in_time);
  if (first_late == pairs_.end()) return false;
  std::vector<std::unique_ptr<QueuedScore>> late(std::make_move_iterator(first_late),
                                                 std::make_move_iterator(pairs_.end()));
  pairs_.erase(first_late, pairs_.end());
  for (const auto& pair : late) {
    intake_->LeftScoreQueue({&pair, 1});
    // A flag raised just now makes it a cancellation; both are true then.
    Answer(*pair, LateInQueueError(IsCancelled(pair->request.cancelled), now - pair->submitted), intake_);
  }
  return true;
}

absl::Duration ScoreQueue::ScoreChunk() {
  if (pairs_.empty()) return absl::ZeroDuration();
  Turns turns(last_flow_);
  for (std::size_t i = 0; i < pairs_.size(); ++i) turns.Add(pairs_[i]->request.flow, static_cast<int>(i));
  std::int64_t tokens = 0;
  std::vector<int> chosen;
  while (!turns.empty()) {
    tokens += Tokens(*pairs_[turns.Next()]);
    if (!chosen.empty() && tokens > options_.limits.max_score_tokens_per_chunk) break;
    chosen.push_back(turns.Next());
    turns.Pop();
  }
  last_flow_ = turns.last();
  const std::vector<std::unique_ptr<QueuedScore>> chunk = Take(chosen);

  const absl::Time start = options_.clock();
  std::vector<absl::StatusOr<ScoreResult>> results;
  results.reserve(chunk.size());
  if (auto together = Score(chunk); together.ok()) {
    for (ScoreResult& result : *together) results.emplace_back(std::move(result));
  } else if (chunk.size() == 1) {
    results.emplace_back(together.status());
  } else {
    for (const auto& pair : chunk) {
      auto alone = Score({&pair, 1});
      if (alone.ok()) {
        results.emplace_back(std::move(alone->front()));
      } else {
        results.emplace_back(alone.status());
      }
    }
  }
  const absl::Duration took = options_.clock() - start;
  for (std::size_t i = 0; i < chunk.size(); ++i) Answer(*chunk[i], std::move(results[i]), intake_);
  return took;
}

void ScoreQueue::FailAll(const absl::Status& status) {
  const std::vector<std::unique_ptr<QueuedScore>> all = std::exchange(pairs_, {});
  intake_->LeftScoreQueue(all);
  for (const auto& pair : all) Answer(*pair, status, intake_);
}

std::vector<std::unique_ptr<QueuedScore>> ScoreQueue::Take(absl::Span<const int> indices) {
  std::vector<std::unique_ptr<QueuedScore>> taken;
  taken.reserve(indices.size());
  for (const int index : indices) taken.push_back(std::move(pairs_[index]));
  std::erase(pairs_, nullptr);
  intake_->LeftScoreQueue(taken);
  return taken;
}

absl::StatusOr<std::vector<ScoreResult>> ScoreQueue::Score(absl::Span<const std::unique_ptr<QueuedScore>> pairs) {
  std::vector<ScorePair> inputs;
  inputs.reserve(pairs.size());
  for (const auto& pair : pairs) {
    const ScoreRequest& request = pair->request;
    ScorePair input = {.source_ids = request.source_ids,
                       .target_ids = request.target_ids,
                       .want_log_probs = request.want_log_probs,
                       .reference_log_probs = {}};
    if (request.reference_log_probs != nullptr) input.reference_log_probs = *request.reference_log_probs;
    inputs.push_back(input);
  }
  auto results = executor_->Score(inputs);
  if (results.ok() && results->size() != inputs.size()) {
    return absl::InternalError(
        absl::StrFormat("the executor answered %d pairs with %d results", inputs.size(), results->size()));
  }
  return results;
}

}  // namespace petit::engine
