#include "models/engine/score_share.h"

#include <algorithm>

namespace petit::engine {

bool ScoreShare::MayScore(bool sequences_active) const {
  if (!sequences_active) return true;
  return max_share_ > 0 && debt_ <= absl::ZeroDuration();
}

void ScoreShare::OnDecoded(absl::Duration took) { debt_ = std::max(absl::ZeroDuration(), debt_ - took); }

void ScoreShare::OnScored(absl::Duration took, bool sequences_active) {
  if (!sequences_active || max_share_ <= 0) return;
  // s / (s + d) <= share  <=>  d >= s (1 - share) / share
  debt_ += took * std::max(0.0, (1 - max_share_) / max_share_);
}

}  // namespace petit::engine
