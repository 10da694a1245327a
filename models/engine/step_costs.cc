#include "models/engine/step_costs.h"

#include <bit>
#include <cstddef>

namespace petit::engine {
namespace {

// Of an observation; the rest is what was known before.
constexpr double kWeight = 1.0 / 16;

}  // namespace

void StepCosts::Observe(int rows, absl::Duration took) {
  if (took <= absl::ZeroDuration()) return;
  Point& point = points_[std::bit_width(static_cast<unsigned>(rows) - 1)];
  const double seconds = absl::ToDoubleSeconds(took);
  // The first step of a size may have made its kernels: one that takes less than half tells what it costs.
  const bool replaces = point.rows == 0 || seconds < point.seconds / 2;
  const double weight = replaces ? 1 : kWeight;
  point.rows += weight * (rows - point.rows);
  point.seconds += weight * (seconds - point.seconds);
}

absl::Duration StepCosts::Of(int rows) const {
  Point below;  // the origin: a step costs nothing without rows, as far as is known
  for (const Point& point : points_) {
    if (point.rows == 0) continue;
    if (point.rows >= rows) {
      const double part = (rows - below.rows) / (point.rows - below.rows);
      return absl::Seconds(below.seconds + part * (point.seconds - below.seconds));
    }
    below = point;
  }
  return below.rows == 0 ? absl::ZeroDuration() : absl::Seconds(below.seconds * rows / below.rows);
}

}  // namespace petit::engine
