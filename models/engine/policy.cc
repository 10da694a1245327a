#include "models/engine/policy.h"

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
  for (int i = 0; i < static_cast<int>(queue.size()); ++i) {
    if (queue[i].cancelled) {
      result.cancelled.push_back(i);
    } else if (queue[i].deadline <= now) {
      result.expired.push_back(i);
    } else {
      turns.Add(queue[i].flow, i);
    }
  }
  ActiveLoad load = active;
  std::int64_t encoder_tokens = 0;
  while (!turns.empty()) {
    const Waiting& waiting = queue[turns.Next()];
    const bool encoder_fits =
        result.admit.empty() || encoder_tokens + waiting.source_tokens <= limits.max_encoder_tokens_per_step;
    // Differences, not sums: a huge kv_bytes must not overflow.
    const bool fits = MayJoin(limits.mode, active.sequences, static_cast<int>(result.admit.size())) && encoder_fits &&
                      waiting.rows <= limits.max_rows - load.rows &&
                      waiting.kv_bytes <= limits.max_kv_bytes - load.kv_bytes;
    if (!fits) break;
    result.admit.push_back(turns.Next());
    turns.Pop();
    load.rows += waiting.rows;
    load.kv_bytes += waiting.kv_bytes;
    encoder_tokens += waiting.source_tokens;
  }
  result.last_flow = turns.last();
  return result;
}

}  // namespace petit::engine
