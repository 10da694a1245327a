#include "models/distill/trainer.h"

#include <utility>

#include "models/distill/run.h"
#include "models/torch/guard.h"

namespace petit::distill {

absl::StatusOr<Outcome> Train(const Settings& settings, const Scorer& scorer, Observer* observer,
                              const std::function<bool()>& stop, TaskGroup* group) {
  try {
    return Run(settings, scorer, observer, stop, group).Go();
  } catch (...) {
    return torch_executor::StatusOfException("training");
  }
}

}  // namespace petit::distill
