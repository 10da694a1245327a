// Who steps: how flows share the decoder's time. No lock, no clock.
#ifndef PETIT_MODELS_ENGINE_PACE_H_
#define PETIT_MODELS_ENGINE_PACE_H_

#include <map>

#include "absl/time/time.h"
#include "models/engine/step_costs.h"
#include "models/engine/turns.h"

namespace petit::engine {

// A step takes longer the more rows it has, so a flow of many rows slows down one of few that steps with it. Each flow
// has an account of its slowdown: the time that passes / the time that what it got would have taken alone. While a flow
// is *behind*, slowed down beyond kBehind, the flows of twice its rows and more are *held*: their rows wait, unless
// they are *due*, slowed down beyond max_hold_back or the square root of how many times its rows they have. Flows of
// like size step together, however many they are.
class Pace {
 public:
  static constexpr double kBehind = 1.25;

  // 1: nobody is ever held.
  explicit Pace(double max_hold_back) : max_hold_back_(max_hold_back) {}

  // Decides anew who is held. `rows` of each flow that has sequences active; the others' accounts are closed. At least
  // one flow of `rows` is not held.
  void Update(const std::map<Flow, int>& rows);
  bool IsHeld(Flow flow) const;

  // The worker's time went into encoding so many source tokens of each flow. Here and below a time below zero, of a
  // clock that was set back, is none.
  void OnEncoded(absl::Duration took, const std::map<Flow, int>& source_tokens);
  // ... or into one step, that did not fail, of all flows that are not held.
  void OnStepped(absl::Duration took);
  // ... or into something else.
  void OnPassed(absl::Duration took);

 private:
  // Time that is owed to a flow that was promised a slowdown. It saves up little: a flow that was fast cannot be slow
  // later.
  struct Account {
    int rows = 0;
    bool held = false;
    absl::Duration behind = absl::ZeroDuration();  // > 0: slowed down beyond kBehind
    absl::Duration due = absl::ZeroDuration();     // > 0: slowed down beyond max_slowdown
    double max_slowdown = 1;
  };
  // Of being early no more than what a service that takes `unit` alone leaves is kept.
  void Serve(absl::Duration alone, absl::Duration unit, Account* account) const;

  double max_hold_back_;
  StepCosts costs_;
  std::map<Flow, Account> accounts_;
};

}  // namespace petit::engine

#endif  // PETIT_MODELS_ENGINE_PACE_H_
