// What the loop itself costs per step: everything of a turn but the executor's own Step.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "models/engine/replica.h"
#include "tests/unit/engine/scripted_executor.h"

namespace petit::engine {
namespace {

constexpr int kVocabSize = 64;
constexpr int kLength = 40;

class StepTimer : public ReplicaObserver {
 public:
  void OnStep(absl::Duration took, int /*sequences*/, int rows) override {
    in_executor += took;
    most_rows = std::max(most_rows, rows);
  }
  absl::Duration in_executor;
  int most_rows = 0;
};

// Arguments: rows, beams per sequence, sequences waiting all the time. Ended sequences are replaced from the queue, so
// that admission is part of what is measured. Reported time: per turn, without the executor.
void LoopOverhead(benchmark::State& state) {
  const int rows = static_cast<int>(state.range(0));
  const int beams = static_cast<int>(state.range(1));
  const int waiting = static_cast<int>(state.range(2));
  ScriptedOptions scripted;
  scripted.script = CopySourceScript(kVocabSize);
  scripted.vocab_size = kVocabSize;
  ReplicaOptions options;
  const auto timer = std::make_shared<StepTimer>();
  options.observer = timer;
  options.limits.max_rows = rows;
  ReplicaLoop loop(MakeScriptedExecutor(std::move(scripted)), options);
  int outstanding = 0;
  int serial = 0;
  const auto fill = [&] {
    while (outstanding < rows / beams + waiting) {
      SequenceRequest request;
      // Lengths differ, so that sequences end and join one by one and not in waves.
      request.source_ids.assign(kLength / 2 + serial++ % kLength, 7);
      request.options.max_new_tokens = 2 * kLength;
      request.options.num_beams = beams;
      request.done = [&outstanding](const absl::StatusOr<SequenceResult>&) { --outstanding; };
      if (!loop.Enqueue(std::move(request)).ok()) return;
      ++outstanding;
    }
  };
  fill();
  while (state.KeepRunning()) {
    timer->in_executor = absl::ZeroDuration();
    const absl::Time start = absl::Now();
    loop.RunOnce();
    const absl::Duration turn = absl::Now() - start;
    state.SetIterationTime(absl::ToDoubleSeconds(turn - timer->in_executor));
    fill();
  }
  state.counters["rows"] = timer->most_rows;
}

BENCHMARK(LoopOverhead)
    ->ArgNames({"rows", "beams", "waiting"})
    ->Args({1, 1, 0})
    ->Args({64, 1, 0})
    ->Args({64, 1, 190})
    ->Args({64, 4, 0})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace petit::engine

BENCHMARK_MAIN();
