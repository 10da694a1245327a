#include "client/load/schedule.h"

#include <algorithm>
#include <cmath>

namespace petit::load {

double Uniform(std::mt19937_64& random) {
  // Not std::uniform_real_distribution, whose numbers are each library's own.
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

Schedule::Schedule(const Phase& phase, Arrivals arrivals, std::uint64_t seed)
    : rate_(phase.rate),
      rate_to_(phase.rate_to),
      warmup_(absl::ToDoubleSeconds(phase.warmup)),
      duration_(absl::ToDoubleSeconds(phase.duration)),
      arrivals_(arrivals),
      random_(seed) {}

double Schedule::MomentOf(double texts) const {
  const double before = rate_ * warmup_;
  if (texts <= before || rate_ == rate_to_) return texts / rate_;
  // rate * t + slope * t^2 / 2 = left, solved for t in the form that is stable where the slope is near 0.
  const double slope = (rate_to_ - rate_) / duration_;
  const double left = texts - before;
  const double square = rate_ * rate_ + 2 * slope * left;
  // A falling ramp never gets so far.
  if (square < 0) return warmup_ + duration_;
  return warmup_ + 2 * left / (rate_ + std::sqrt(square));
}

std::optional<absl::Duration> Schedule::Next() {
  if (arrivals_ == Arrivals::kConstant) {
    texts_ = static_cast<double>(sent_);
  } else {
    texts_ += -std::log1p(-Uniform(random_));
  }
  ++sent_;
  const double moment = MomentOf(texts_);
  if (moment >= warmup_ + duration_) return std::nullopt;
  return absl::Seconds(moment);
}

Mix::Mix(const std::vector<ModelShare>& models, Arrivals arrivals, std::uint64_t seed)
    : credits_(models.size()), arrivals_(arrivals), random_(seed) {
  for (const ModelShare& model : models) {
    weights_.push_back(model.weight);
    total_ += model.weight;
  }
}

std::size_t Mix::Next() {
  if (weights_.size() == 1) return 0;
  if (arrivals_ == Arrivals::kPoisson) {
    double left = Uniform(random_) * total_;
    for (std::size_t i = 0; i + 1 < weights_.size(); ++i) {
      if (left < weights_[i]) return i;
      left -= weights_[i];
    }
    return weights_.size() - 1;
  }
  // Smooth weighted round robin: who is owed most goes next.
  for (std::size_t i = 0; i < weights_.size(); ++i) credits_[i] += weights_[i];
  const auto next = static_cast<std::size_t>(std::max_element(credits_.begin(), credits_.end()) - credits_.begin());
  credits_[next] -= total_;
  return next;
}

}  // namespace petit::load
