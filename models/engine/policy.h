// The batching policy: which waiting sequences join at this decoder step. A pure function without lock or clock.
#ifndef PETIT_MODELS_ENGINE_POLICY_H_
#define PETIT_MODELS_ENGINE_POLICY_H_

#include <cstdint>
#include <map>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "models/engine/turns.h"

namespace petit::engine {

// How sequences are grouped. Continuous is what a server wants; the others are there to be compared with.
enum class BatchingMode {
  kContinuous,  // newcomers join between decoder steps, the finished leave at once
  kStatic,      // a batch is formed when the replica is idle and nobody joins until all of it has finished
  kOneAtATime,
};

struct BatchingLimits {
  BatchingMode mode = BatchingMode::kContinuous;
  // Decoder rows of the admitted. A flow that has less than its share of them (the limit / flows active or waiting) is
  // let in beyond, up to twice the limit, so that no other flow keeps it out.
  int max_rows = 64;
  std::int64_t max_kv_bytes = 1 << 30;     // sum of Footprint over the admitted, reserved at admission
  int max_encoder_tokens_per_step = 1024;  // newcomers' source tokens encoded between two steps, in every mode
  // Sequences waiting and the bytes of their source ids; what would exceed either is refused. A flow that has less than
  // its share of them (the limit / flows waiting) is let in beyond, up to twice the limit, so that no other flow keeps
  // it out. Pairs to score wait in a queue of their own with the same two limits (there, the bytes of source and target
  // ids).
  int max_queue_length = 256;
  std::int64_t max_queue_bytes = 16 << 20;
  // Of the worker's time while sequences decode: 0 scores only when none does, 1 scores a chunk after every step.
  double max_score_share = 0.5;
  // A flow's sequences are held back for the sake of a smaller flow's as long as they are slowed down by no more than
  // this, compared with being alone (see Pace); 1: never held back.
  double max_hold_back = 3;
  int max_score_tokens_per_chunk = 1024;  // source + target tokens of one Score call
};

struct Waiting {
  int source_tokens = 0;
  int rows = 0;
  std::int64_t kv_bytes = 0;  // Footprint of this sequence
  absl::Time deadline = absl::InfiniteFuture();
  bool cancelled = false;
  bool held = false;  // to be passed over for now
  Flow flow = 0;
};

struct ActiveLoad {
  int sequences = 0;
  std::map<Flow, int> rows;  // reserved, of each flow that has any: each sequence counts its maximum
  std::int64_t kv_bytes = 0;
};

struct Admission {
  std::vector<int> admit;      // indices into the queue, in the order of their turns
  std::vector<int> expired;    // ascending; deadline passed
  std::vector<int> cancelled;  // ascending
  Flow last_flow = 0;          // of the last that was admitted: the next call's
};

// One sequence of each flow in turn, after `last_flow`; first come, first served within a flow. The first sequence that
// does not fit stops admission and keeps its turn, so that none starves; one of a flow that has its share of the rows
// only waits itself. A sequence whose source alone exceeds max_encoder_tokens_per_step is admitted as the only newcomer
// of its step. A sequence that exceeds max_rows or max_kv_bytes by itself is never admitted: whoever queues refuses it.
// Those held are passed over. A cancelled sequence is reported as cancelled even when its deadline (`deadline <= now`)
// has passed too.
Admission Admit(absl::Span<const Waiting> queue, const ActiveLoad& active, absl::Time now, const BatchingLimits& limits,
                Flow last_flow = 0);

}  // namespace petit::engine

#endif  // PETIT_MODELS_ENGINE_POLICY_H_
