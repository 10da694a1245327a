#include "models/engine/policy.h"

#include <algorithm>

namespace petit::engine {
namespace {

// Tells whether sequences join one by one as long as they fit, or only an idle replica.
bool MayJoin(BatchingMode mode, int active, int admitted) {
  switch (mode) {
    case BatchingMode::kContinuous:
      return true;
    case BatchingMode::kStatic:
      return active == 0;
    case BatchingMode::kOneAtATime:
      return active == 0 && admitted == 0;
  }
  return false;
}

}  // namespace

Admission Admit(absl::Span<const Waiting> queue, const ActiveLoad& active, absl::Time now, const BatchingLimits& limits,
                Flow last_flow) {
  Admission result;
  Turns turns(last_flow);
  std::map<Flow, int> flows = active.rows;
  for (int i = 0; i < static_cast<int>(queue.size()); ++i) {
    if (queue[i].cancelled) {
      result.cancelled.push_back(i);
    } else if (queue[i].deadline <= now) {
      result.expired.push_back(i);
    } else {
      flows.try_emplace(queue[i].flow, 0);
      if (!queue[i].held) turns.Add(queue[i].flow, i);
    }
  }
  const int share = limits.max_rows / std::max(1, static_cast<int>(flows.size()));
  int rows = 0;
  for (const auto& [flow, its_rows] : flows) rows += its_rows;
  std::int64_t kv_bytes = active.kv_bytes;
  std::int64_t encoder_tokens = 0;
  while (!turns.empty()) {
    const Waiting& waiting = queue[turns.Next()];
    int& own_rows = flows[waiting.flow];
    const bool may_join = MayJoin(limits.mode, active.sequences, static_cast<int>(result.admit.size()));
    const bool encoder_fits =
        result.admit.empty() || encoder_tokens + waiting.source_tokens <= limits.max_encoder_tokens_per_step;
    if (!may_join || !encoder_fits) break;
    const bool beyond = waiting.rows <= share - own_rows && waiting.rows <= 2 * limits.max_rows - rows;
    // Differences, not sums: a huge kv_bytes must not overflow.
    const bool fits =
        (waiting.rows <= limits.max_rows - rows || beyond) && waiting.kv_bytes <= limits.max_kv_bytes - kv_bytes;
    if (!fits && own_rows < share) break;
    if (!fits) {
      turns.Skip();
      continue;
    }
    result.admit.push_back(turns.Next());
    turns.Pop();
    own_rows += waiting.rows;
    rows += waiting.rows;
    kv_bytes += waiting.kv_bytes;
    encoder_tokens += waiting.source_tokens;
  }
  result.last_flow = turns.last();
  return result;
}

}  // namespace petit::engine
