// Makes a served model of a checkpoint: weights, tokenizer, executors, replicas, warmed up. What the registry calls.
#ifndef PETIT_SERVER_LOADER_H_
#define PETIT_SERVER_LOADER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config/settings.h"
#include "server/metrics/metrics.h"
#include "server/registry/registry.h"

namespace petit::serving {

// A loader that reads Hugging Face checkpoints and runs them with LibTorch. Replicas report into `metrics`, which must
// outlive the models; their warm-up is not counted. The loader's errors: NOT_FOUND: no such directory or file.
// INVALID_ARGUMENT: the checkpoint or its tokenizer is damaged, they do not belong together, the tokenizer's digest is
// not the configured one, or the limits leave no room for a single sequence. RESOURCE_EXHAUSTED: the device is full.
// UNIMPLEMENTED: an executor or precision that this build does not have.
ModelLoader MakeModelLoader(Metrics* metrics);

// The device that a model will run on: the configured one if it is here, else "cpu" with allow_cpu_fallback. Otherwise
// an error that names the model, the devices that are here, and allow_cpu_fallback.
absl::StatusOr<std::string> EffectiveDevice(const ModelSettings& settings);

}  // namespace petit::serving

#endif  // PETIT_SERVER_LOADER_H_
