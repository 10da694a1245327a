// The seam between what decides (decoding, batching, server) and what computes. std and Abseil only.
//
// An executor runs one model on one device. It is owned and called by one thread, its replica's worker; it needs
// no locks. Only info() and Footprint(), which depend on nothing that changes, are called from other threads. It knows
// nothing of requests, beams or time: it holds the encoder side of admitted *slots* and the decoder side (the
// self-attention cache) of the *rows* of the last step.
#ifndef PETIT_MODELS_ENGINE_EXECUTOR_H_
#define PETIT_MODELS_ENGINE_EXECUTOR_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/decoding/step.h"

namespace petit::engine {

using TokenId = decoding::TokenId;
using Slot = int;  // small non-negative number, chosen by the caller, one per sequence in flight

// A sequence to encode.
struct Newcomer {
  Slot slot = 0;
  absl::Span<const TokenId> source_ids;  // at least one id, each in [0, vocab_size)
};

// One row of a decoder step.
struct StepRow {
  Slot slot = 0;        // an admitted slot, whose source the row attends to
  int parent_row = -1;  // index among the rows of the previous Step; -1: the row starts with an empty cache
  // Its `parent` is not read here. Null: the row is held, that is kept as its parent was, and not computed.
  const decoding::RowRequest* request = nullptr;
};

// A target to score under teacher forcing. The decoder reads [start, target_ids[:-1]] and is asked for
// target_ids; the caller appends EOS where it wants it scored.
struct ScorePair {
  absl::Span<const TokenId> source_ids;
  absl::Span<const TokenId> target_ids;
  bool want_log_probs = false;
  // Log-probabilities of a reference model for this pair, [target_ids.size() * distribution_size], as ScoreResult
  // returned them; empty: no KL is computed.
  absl::Span<const float> reference_log_probs;
};

struct ScoreResult {
  // Natural log-probability of each target id under the softmax over the whole vocab_size, as Hugging Face's loss.
  std::vector<float> token_log_probs;
  // [tokens * distribution_size], row-major, where asked: log-softmax over the first distribution_size ids. Rows
  // of the embedding that no text can produce (padding of the vocabulary) are masked out before the softmax.
  std::vector<float> log_probs;
  // KL(reference || this model) in nats per target token, where a reference was given: sum over the first
  // distribution_size ids of p_ref * (log p_ref - log p).
  std::vector<float> kl;
};

struct ExecutorInfo {
  std::string executor;   // "TORCH", "NATIVE", "SCRIPTED"
  std::string device;     // the effective one: "cpu", "cuda:0"
  std::string precision;  // "FP32", "BF16", "INT8"
  int vocab_size = 0;
  int distribution_size = 0;  // ids a text can produce: the tokenizer's pieces and sentinels; <= vocab_size
  std::int64_t parameters = 0;
  std::int64_t weight_bytes = 0;  // in memory, as loaded
};

class Executor {
 public:
  virtual ~Executor() = default;

  virtual const ExecutorInfo& info() const = 0;

  // Upper bound of the bytes that a sequence of these sizes holds from Admit to Release: encoder side and cache.
  virtual std::int64_t Footprint(int source_tokens, int max_new_tokens, int rows) const = 0;

  // Encodes newcomers together and computes their cross-attention keys and values, once. After an error (device
  // full: RESOURCE_EXHAUSTED) none of them is admitted, and the admitted of before are untouched.
  virtual absl::Status Admit(absl::Span<const Newcomer> newcomers) = 0;

  // Runs one decoder step over all rows but the held ones, which come last and have a parent. Rows of the previous Step
  // that no row names as parent are dropped. `results` comes empty and leaves with one entry per computed row, in the
  // rows' order. Rows of a parent may be several (beams) and in any order. After an error the state of all rows is
  // lost; slots stay admitted until released.
  virtual absl::Status Step(absl::Span<const StepRow> rows, std::vector<decoding::RowResult>* results) = 0;

  // Scores pairs without touching slots or rows.
  virtual absl::StatusOr<std::vector<ScoreResult>> Score(absl::Span<const ScorePair> pairs) = 0;

  // Frees slots. Their rows must not be named as parents afterwards.
  virtual void Release(absl::Span<const Slot> slots) = 0;
};

}  // namespace petit::engine

#endif  // PETIT_MODELS_ENGINE_EXECUTOR_H_
