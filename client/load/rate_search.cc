#include "client/load/rate_search.h"

namespace petit::load {
namespace {

constexpr double kPrecision = 0.05;
constexpr int kMostHalvings = 10;
constexpr int kMostDoublings = 20;

}  // namespace

void RateSearch::Report(bool holds) {
  const double rate = *next_;
  (holds ? best_ : broken_) = rate;
  if (!broken_) {
    next_ = 2 * rate;
    if (++doubled_ > kMostDoublings) next_ = std::nullopt;
  } else if (!best_) {
    next_ = rate / 2;
    if (++halved_ > kMostHalvings) next_ = std::nullopt;
  } else if (*broken_ <= (1 + kPrecision) * *best_) {
    next_ = std::nullopt;
  } else {
    next_ = (*best_ + *broken_) / 2;
  }
}

}  // namespace petit::load
