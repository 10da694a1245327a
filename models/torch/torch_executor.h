// The TORCH executor: a functional T5 on LibTorch tensors; the reference for numbers. This header is free of
// LibTorch, so that only models/torch pays for its headers.
#ifndef PETIT_MODELS_TORCH_TORCH_EXECUTOR_H_
#define PETIT_MODELS_TORCH_TORCH_EXECUTOR_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/checkpoint/checkpoint.h"
#include "models/engine/executor.h"

namespace petit::torch_executor {

enum class Precision {
  kFp32,
  kBf16,
  // LibTorch's dynamic quantized linear, as Python's quantize_dynamic({Linear}, qint8); CPU only. Activations are
  // quantized at each call with one range for all rows of the call, so a sequence's results depend, within the
  // quantization's error, on what is computed beside it.
  kInt8,
};

struct TorchOptions {
  Precision precision = Precision::kFp32;
  std::string device = "cpu";  // anything torch::Device accepts: "cpu", "cuda:0", "cuda"
  int distribution_size = 0;   // ids a text can produce (see ExecutorInfo); 0: vocab_size
  // That compute for it, on the CPU; 0: as many as its size is worth, at most those of SetTorchThreads.
  int threads = 0;
  // Padded tensor operations even on the CPU, as on other devices. For tests that hold the two paths together.
  bool force_generic_attention = false;
};

// Sets LibTorch's one intra-op pool. Once, at start-up, from the main thread; 0: number of cores.
void SetTorchThreads(int threads);

// OK if `device` names a device that is here; otherwise an error that lists those that are
// (INVALID_ARGUMENT: not a device name; UNAVAILABLE: not on this machine).
absl::Status CheckDevice(const std::string& device);

// Copies the checkpoint's weights to the device. Peak memory: the loaded weights plus about one tensor.
// RESOURCE_EXHAUSTED: device full. INVALID_ARGUMENT: INT8 elsewhere than on the CPU.
absl::StatusOr<std::unique_ptr<engine::Executor>> MakeTorchExecutor(const checkpoint::Checkpoint& checkpoint,
                                                                    const TorchOptions& options);

// Several on one copy of the weights, for a thread each to call. Unless `threads` says otherwise they share out those
// of SetTorchThreads.
absl::StatusOr<std::vector<std::unique_ptr<engine::Executor>>> MakeTorchExecutors(
    const checkpoint::Checkpoint& checkpoint, const TorchOptions& options, int count);

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_TORCH_EXECUTOR_H_
