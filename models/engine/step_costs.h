// What a decoder step costs by the number of its rows, learned from the steps that were made. No lock, no clock.
#ifndef PETIT_MODELS_ENGINE_STEP_COSTS_H_
#define PETIT_MODELS_ENGINE_STEP_COSTS_H_

#include <array>

#include "absl/time/time.h"

namespace petit::engine {

// Moving averages over steps of 1, 2, 3-4, 5-8, ... rows, and straight lines between them.
class StepCosts {
 public:
  // At least one row. A time that is not above zero says nothing: the clock was set back.
  void Observe(int rows, absl::Duration took);

  // Of a step with so many rows, at least one. Outside of what was seen in proportion to the rows: too little for few,
  // too much for many. Zero before the first observation.
  absl::Duration Of(int rows) const;

 private:
  struct Point {
    double rows = 0;  // 0: not seen yet
    double seconds = 0;
  };
  std::array<Point, 32> points_;  // ascending
};

}  // namespace petit::engine

#endif  // PETIT_MODELS_ENGINE_STEP_COSTS_H_
