// One edit of one score, as decoding/step.h defines it. std only.
#ifndef PETIT_MODELS_TORCH_EDITS_H_
#define PETIT_MODELS_TORCH_EDITS_H_

#include "models/decoding/step.h"

namespace petit::torch_executor {

// The new score of `edit.id`. A kForce also makes every other score -inf, which is the caller's part.
inline float Edited(float score, const decoding::Edit& edit) {
  switch (edit.kind) {
    case decoding::Edit::Kind::kBan:
      return decoding::kNegInf;
    case decoding::Edit::Kind::kPenalize:
      return score < 0 ? score * edit.value : score / edit.value;
    case decoding::Edit::Kind::kForce:
      return 0;
  }
  return score;
}

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_EDITS_H_
