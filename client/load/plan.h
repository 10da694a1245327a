// What a load run does: how many texts, when, to which models, and what is asked of the answers.
#ifndef PETIT_CLIENT_LOAD_PLAN_H_
#define PETIT_CLIENT_LOAD_PLAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/load/objective.h"

namespace petit::load {

enum class Arrivals { kPoisson, kConstant };

// A stretch of the run whose figures stand together. Open loop: `rate` is above 0. Closed loop: `streams` is.
struct Phase {
  // Texts a second, at the beginning and at the end of `duration`; between them it changes linearly.
  double rate = 0;
  double rate_to = 0;
  int streams = 0;                            // texts in flight: each answer sends the next
  absl::Duration warmup = {};                 // texts sent in it do not count
  absl::Duration duration = {};               // after the warm-up; may be infinite where `requests` is given
  std::optional<std::int64_t> requests = {};  // ends the phase once so many that count have been sent

  [[nodiscard]] bool open() const { return rate > 0; }
};

struct ModelShare {
  std::string name = {};  // as the server has it: "student", "student/versions/2"
  double weight = 1;      // its share of the texts is weight / sum of weights
};

struct Plan {
  std::vector<ModelShare> models = {};  // at least one; names unique
  // One after the other, without a pause. Of a search: the one phase whose rate is where it begins.
  std::vector<Phase> phases = {};
  bool search = false;
  Arrivals arrivals = Arrivals::kPoisson;  // of open loops
  std::uint64_t seed = 1;
  // A text that is due while so many are in flight is not sent, and counts as failed.
  std::int64_t max_in_flight = 10000;
  Objective objective = {};
};

// "40 texts/s", "10 to 80 texts/s", "8 in flight".
std::string Describe(const Phase& phase);

}  // namespace petit::load

#endif  // PETIT_CLIENT_LOAD_PLAN_H_
