// When texts are sent, and to which model.
#ifndef PETIT_CLIENT_LOAD_SCHEDULE_H_
#define PETIT_CLIENT_LOAD_SCHEDULE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "absl/time/time.h"
#include "client/load/plan.h"

namespace petit::load {

// In [0, 1), the same on every platform.
double Uniform(std::mt19937_64& random);

// The moments of an open loop: `phase.rate` texts a second while it warms up, then linearly to `phase.rate_to`.
// Constant arrivals stand 1 / rate apart, the first at 0; Poisson's are those of a Poisson process of that rate (for a
// rate that changes: of unit rate, its time warped by the rate's integral). The same seed gives the same moments.
class Schedule {
 public:
  Schedule(const Phase& phase, Arrivals arrivals, std::uint64_t seed);

  // The next text's moment, from the start of the phase; nothing once the phase is over.
  std::optional<absl::Duration> Next();

 private:
  // When the integral of the rate reaches `texts`, seconds.
  [[nodiscard]] double MomentOf(double texts) const;

  const double rate_;
  const double rate_to_;
  const double warmup_;    // seconds
  const double duration_;  // seconds; may be infinite where the rates are equal
  const Arrivals arrivals_;
  std::mt19937_64 random_;
  double texts_ = 0;  // the integral of the rate at the text before
  std::int64_t sent_ = 0;
};

// Divides texts among models as their weights say: with Poisson arrivals at random, so that each model's are Poisson's,
// too; else as evenly as can be.
class Mix {
 public:
  Mix(const std::vector<ModelShare>& models, Arrivals arrivals, std::uint64_t seed);

  // A place in `models`.
  std::size_t Next();

 private:
  std::vector<double> weights_;
  std::vector<double> credits_;
  double total_ = 0;
  const Arrivals arrivals_;
  std::mt19937_64 random_;
};

}  // namespace petit::load

#endif  // PETIT_CLIENT_LOAD_SCHEDULE_H_
