// Dropout masks as a function of key and place. std only; part of the kernels that include it.
#ifndef PETIT_MODELS_DISTILL_DROPOUT_MASK_H_
#define PETIT_MODELS_DISTILL_DROPOUT_MASK_H_

#include <cstdint>

#include "models/torch/cpu_vector.h"

namespace petit::distill::kernels {

class DropoutMask {
 public:
  PETIT_INLINE DropoutMask(std::uint64_t key, float p)
      : low_(static_cast<std::uint32_t>(key)),
        high_(static_cast<std::uint32_t>(key >> 32)),
        threshold_(static_cast<std::uint32_t>(p * 4294967040.0F)),
        kept_(1.0F / (1.0F - p)) {}

  // 0 or 1 / (1 - p).
  PETIT_INLINE float Factor(std::uint32_t i) const { return Bits(i) < threshold_ ? 0.0F : kept_; }

 private:
  // Two rounds of a 32-bit mixer ("lowbias32", C. Wellons), one for each half of the key.
  PETIT_INLINE std::uint32_t Bits(std::uint32_t i) const {
    std::uint32_t x = i * 0x9e3779b9U + low_;
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x ^= x >> 15;
    x *= 0x846ca68bU;
    x ^= high_;
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x ^= x >> 15;
    return x;
  }

  std::uint32_t low_;
  std::uint32_t high_;
  std::uint32_t threshold_;
  float kept_;
};

}  // namespace petit::distill::kernels

#endif  // PETIT_MODELS_DISTILL_DROPOUT_MASK_H_
