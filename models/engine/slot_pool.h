// Slot numbers, the smallest free one first, so that an executor's arrays stay dense.
#ifndef PETIT_MODELS_ENGINE_SLOT_POOL_H_
#define PETIT_MODELS_ENGINE_SLOT_POOL_H_

#include <functional>
#include <queue>
#include <vector>

#include "models/engine/executor.h"

namespace petit::engine {

class SlotPool {
 public:
  Slot Take() {
    if (free_.empty()) return next_++;
    const Slot slot = free_.top();
    free_.pop();
    return slot;
  }

  // `slot` must have been taken and not yet returned.
  void Return(Slot slot) { free_.push(slot); }

 private:
  Slot next_ = 0;
  std::priority_queue<Slot, std::vector<Slot>, std::greater<>> free_;
};

}  // namespace petit::engine

#endif  // PETIT_MODELS_ENGINE_SLOT_POOL_H_
