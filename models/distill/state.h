// What a run needs to go on exactly: written to a directory that appears by rename, read back whole or not at all.
#ifndef PETIT_MODELS_DISTILL_STATE_H_
#define PETIT_MODELS_DISTILL_STATE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/distill/arm.h"
#include "models/distill/module.h"

namespace petit::distill {

struct ArmState {
  std::string name;
  bool dropped = false;
  std::int64_t optimizer_steps = 0;
  // The best evaluation so far.
  double best_bleu = -1;
  std::int64_t best_step = -1;
  std::string best_checkpoint;  // directory
};

struct RunState {
  std::int64_t step = 0;
  std::int64_t tokens = 0;
  double seconds = 0;                // of training, over all attempts
  std::int64_t evaluated_step = -1;  // of the last evaluation
  std::string fingerprint;           // of the settings that the numbers depend on
  std::vector<ArmState> arms;
};

// One arm's tensors.
struct ArmTensors {
  T5Module* module = nullptr;
  Optimizer* optimizer = nullptr;
};

// Writes DIRECTORY/step-N, or step-N-evaluated where step N has been evaluated, and removes older states there.
// RESOURCE_EXHAUSTED: disk full; the older ones stay.
absl::Status WriteState(const std::string& directory, const RunState& state, const std::vector<ArmTensors>& arms);

// The newest complete state in any of the directories, without its tensors; absent: none.
struct FoundState {
  std::string path;
  RunState state;
};
absl::StatusOr<std::optional<FoundState>> FindState(const std::vector<std::string>& directories);

// Fills in the tensors. INVALID_ARGUMENT: the state is of another model.
absl::Status ReadState(const FoundState& found, const std::vector<ArmTensors>& arms);

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_STATE_H_
