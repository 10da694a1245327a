// How often scoring may come between decoder steps: pure accounting of time spent, without a clock.
#ifndef PETIT_MODELS_ENGINE_SCORE_SHARE_H_
#define PETIT_MODELS_ENGINE_SCORE_SHARE_H_

#include "absl/time/time.h"

namespace petit::engine {

// A chunk that runs while sequences are active makes a debt, which decoding time pays off; the next chunk waits until
// it is paid. So between the starts of any two chunks scoring took at most max_share of the time. Time without
// scoring saves up nothing: a burst of pairs cannot take the worker for itself later.
class ScoreShare {
 public:
  // 0: only while nothing decodes; 1: after every step.
  explicit ScoreShare(double max_share) : max_share_(max_share) {}

  // Whether a chunk may run now. Always, while no sequence is active: nobody waits.
  [[nodiscard]] bool MayScore(bool sequences_active) const;

  void OnDecoded(absl::Duration took);  // encoder or decoder time
  void OnScored(absl::Duration took, bool sequences_active);

 private:
  double max_share_;
  absl::Duration debt_;  // decoding time still to come before the next chunk
};

}  // namespace petit::engine

#endif  // PETIT_MODELS_ENGINE_SCORE_SHARE_H_
