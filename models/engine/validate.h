// What a replica checks of a request before it queues it: everything an executor would have to trust.
#ifndef PETIT_MODELS_ENGINE_VALIDATE_H_
#define PETIT_MODELS_ENGINE_VALIDATE_H_

#include "absl/status/status.h"
#include "models/engine/executor.h"
#include "models/engine/replica.h"

namespace petit::engine {

// INVALID_ARGUMENT: no `done`, an empty source, an id (of the source or the options) outside the vocabulary.
absl::Status ValidateSequence(const SequenceRequest& request, const ExecutorInfo& info);

// INVALID_ARGUMENT: no `done`, an empty source or target, an id outside the vocabulary, reference log-probabilities
// of the wrong size.
absl::Status ValidateScore(const ScoreRequest& request, const ExecutorInfo& info);

}  // namespace petit::engine

#endif  // PETIT_MODELS_ENGINE_VALIDATE_H_
