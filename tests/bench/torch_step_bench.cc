// Microseconds per decoder step and per encoded source, by rows, threads and precision.
//
//   petit_torch_bench --checkpoint=DIR [--threads=N] [Google Benchmark's flags]
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/checkpoint/checkpoint.h"
#include "models/torch/torch_executor.h"

namespace petit::torch_executor {
namespace {

using Ids = std::vector<decoding::TokenId>;

constexpr int kSourceIds = 32;
constexpr int kSteps = 32;

Ids Source(int length) {
  Ids ids;
  for (int i = 0; i + 1 < length; ++i) ids.push_back(3 + 17 * i % 300);
  ids.push_back(1);
  return ids;
}

void Must(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

// `rows` sequences of 32 source ids, decoded greedily for 32 steps; the time is of one step.
void BenchStep(benchmark::State& state, engine::Executor* executor) {
  const int rows = static_cast<int>(state.range(0));
  const Ids source = Source(kSourceIds);
  std::vector<engine::Newcomer> newcomers;
  std::vector<engine::Slot> slots;
  for (int i = 0; i < rows; ++i) {
    newcomers.push_back({i, source});
    slots.push_back(i);
  }
  Must(executor->Admit(newcomers));
  const decoding::RowRequest start;
  decoding::RowRequest next;
  next.token = 5;
  std::vector<decoding::RowResult> results;
  int step = 0;
  for (auto _ : state) {
    std::vector<engine::StepRow> step_rows;
    for (int i = 0; i < rows; ++i) step_rows.push_back({i, step == 0 ? -1 : i, step == 0 ? &start : &next});
    Must(executor->Step(step_rows, &results));
    step = (step + 1) % kSteps;
  }
  executor->Release(slots);
  state.SetItemsProcessed(state.iterations() * rows);
}

void BenchAdmit(benchmark::State& state, engine::Executor* executor) {
  const Ids source = Source(kSourceIds);
  std::vector<engine::Newcomer> newcomers;
  std::vector<engine::Slot> slots;
  for (int i = 0; i < state.range(0); ++i) {
    newcomers.push_back({i, source});
    slots.push_back(i);
  }
  for (auto _ : state) {
    Must(executor->Admit(newcomers));
    executor->Release(slots);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0) * kSourceIds);
}

}  // namespace
}  // namespace petit::torch_executor

int main(int argc, char** argv) {
  using namespace petit;  // NOLINT(google-build-using-namespace)
  std::string directory;
  int threads = 1;
  benchmark::Initialize(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag.substr(0, 13) == "--checkpoint=") directory = flag.substr(13);
    if (flag.substr(0, 10) == "--threads=") threads = std::atoi(argv[i] + 10);  // NOLINT(cert-err34-c)
  }
  torch_executor::SetTorchThreads(threads);
  const auto checkpoint = checkpoint::Checkpoint::Open(directory);
  torch_executor::Must(checkpoint.status());
  std::vector<std::unique_ptr<engine::Executor>> executors;
  for (const auto precision :
       {torch_executor::Precision::kFp32, torch_executor::Precision::kBf16, torch_executor::Precision::kInt8}) {
    auto executor = torch_executor::MakeTorchExecutor(*checkpoint, {.precision = precision, .threads = threads});
    torch_executor::Must(executor.status());
    executors.push_back(*std::move(executor));
    engine::Executor* raw = executors.back().get();
    const std::string name = raw->info().precision + "/threads:" + std::to_string(threads);
    benchmark::RegisterBenchmark(("Step/" + name).c_str(),
                                 [raw](benchmark::State& state) { torch_executor::BenchStep(state, raw); })
        ->ArgName("rows")
        ->Arg(1)
        ->Arg(8)
        ->Arg(32)
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
    benchmark::RegisterBenchmark(("Admit/" + name).c_str(),
                                 [raw](benchmark::State& state) { torch_executor::BenchAdmit(state, raw); })
        ->ArgName("sources")
        ->Arg(1)
        ->Arg(8)
        ->Arg(32)
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  }
  benchmark::RunSpecifiedBenchmarks();
}
