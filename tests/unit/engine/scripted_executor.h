// An executor that follows a script instead of a model. It stands in for LibTorch in every test of batching, serving
// and cancellation, holds its caller to the contract of executor.h (a breach is a test failure) and keeps a log.
#ifndef PETIT_TESTS_UNIT_ENGINE_SCRIPTED_EXECUTOR_H_
#define PETIT_TESTS_UNIT_ENGINE_SCRIPTED_EXECUTOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "models/engine/executor.h"
#include "tests/unit/decoding/table_model.h"

namespace petit::engine {

// Next-token logits [vocab_size] for a source and the decoder inputs so far (the start token first; never empty).
using Script = std::function<std::vector<float>(std::span<const TokenId> source, std::span<const TokenId> history)>;

// Logits by the table; the source does not matter.
Script TableScript(decoding::TableModel model);
// Emits the source's ids one by one, then EOS: the test chooses each sequence's length and result.
Script CopySourceScript(int vocab_size, TokenId eos = 1);
// Random-looking logits in [-3, 3), a function of the source and the whole history: a mixed-up slot, parent or token
// changes the result.
Script HashScript(int vocab_size, std::uint64_t seed);

// One call as the executor saw it.
struct Call {
  enum class Kind { kAdmit, kStep, kScore, kRelease };
  struct Row {
    Slot slot = 0;
    int parent = -1;
    TokenId token = 0;
  };
  Call(Kind the_kind, int the_index) : kind(the_kind), index(the_index) {}

  Kind kind;
  int index;                       // among the calls of its kind, from 0
  std::vector<Slot> slots;         // kAdmit, kRelease: as given; kStep: distinct computed ones, in the rows' order
  std::vector<Row> rows;           // kStep: the computed ones
  std::vector<Slot> held;          // kStep: distinct ones, in the rows' order
  std::vector<int> source_tokens;  // kAdmit, kScore: of each newcomer, of each pair
  std::vector<int> target_tokens;  // kScore
};

// What happened so far. Thread-safe, and outlives the executor.
class CallLog {
 public:
  void Add(const Call& call);
  std::vector<Call> calls() const;
  std::vector<Call> calls(Call::Kind kind) const;

 private:
  mutable std::mutex mutex_;
  std::vector<Call> calls_ ABSL_GUARDED_BY(mutex_);
};

struct ScriptedOptions {
  Script script;
  int vocab_size = 0;         // of the script
  int distribution_size = 0;  // 0: vocab_size
  TokenId decoder_start = 0;  // for Score
  // Footprint = source_tokens + max_new_tokens * rows, times this.
  std::int64_t bytes_per_token = 1;
  // Admit fails with RESOURCE_EXHAUSTED rather than hold more slots than this.
  int max_slots = 1 << 30;
  // Runs before each Admit, Step and Score; an error is the call's result. It may block: that is how a test holds the
  // worker at a known place.
  std::function<absl::Status(const Call&)> before;
  std::shared_ptr<CallLog> log;  // may be null
};

// For ScriptedOptions::before: the `index`-th call of that kind (from 0) fails.
std::function<absl::Status(const Call&)> FailCall(Call::Kind kind, int index, absl::Status status);

std::unique_ptr<Executor> MakeScriptedExecutor(ScriptedOptions options);

}  // namespace petit::engine

#endif  // PETIT_TESTS_UNIT_ENGINE_SCRIPTED_EXECUTOR_H_
