// A hypothesis' score. std only.
#ifndef PETIT_MODELS_DECODING_SCORING_H_
#define PETIT_MODELS_DECODING_SCORING_H_

#include <algorithm>
#include <cmath>
#include <limits>

#include "models/decoding/options.h"

namespace petit::decoding {

// tokens^length_penalty; `tokens` counts EOS, not the start token. Hugging Face computes it in double, divides in
// fp32.
inline float LengthDivisor(int tokens, float length_penalty) {
  const double divisor = std::pow(static_cast<double>(tokens), static_cast<double>(length_penalty));
  using Limits = std::numeric_limits<float>;  // clamped: absurd penalties must not make 0 or infinity of it
  return static_cast<float>(std::clamp<double>(divisor, Limits::min(), Limits::max()));
}

inline bool IsEos(const SpecialTokens& special, TokenId id) {
  return std::find(special.eos.begin(), special.eos.end(), id) != special.eos.end();
}

}  // namespace petit::decoding

#endif  // PETIT_MODELS_DECODING_SCORING_H_
