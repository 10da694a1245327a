// Small pieces of vector code for the CPU kernels. Loops over them are written so that GCC vectorises them for each
// instruction set of PETIT_CPU_CLONES. std only.
#ifndef PETIT_MODELS_TORCH_CPU_VECTOR_H_
#define PETIT_MODELS_TORCH_CPU_VECTOR_H_

#include <bit>
#include <cstdint>

// Compiles a function several times; the loader picks the best for the machine.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define PETIT_CPU_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define PETIT_CPU_CLONES
#endif
// What a clone calls must become part of it.
#define PETIT_INLINE inline __attribute__((always_inline))

namespace petit::torch_executor {

// BF16 as the upper half of a float.
struct BFloat16 {
  std::uint16_t bits;
};

PETIT_INLINE float ToFloat(float value) { return value; }
PETIT_INLINE float ToFloat(BFloat16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

template <typename T>
T FromFloat(float value);
template <>
PETIT_INLINE float FromFloat<float>(float value) {
  return value;
}
// To nearest, ties to even. NaN is not expected.
template <>
PETIT_INLINE BFloat16 FromFloat<BFloat16>(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return {static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16)};
}

// e^x within 2 ulp for x in [-87.3, 88.7]; 0 below (-inf too). Range reduction by ln 2 in two parts and a polynomial of
// degree 6: Cephes, expf.c (S. Moshier).
PETIT_INLINE float Exp(float x) {
  constexpr float kMagic = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  const float clamped = x < -87.3F ? -87.3F : (x > 88.7F ? 88.7F : x);
  const float shifted = clamped * 1.44269504088896341F + kMagic;
  const float n = shifted - kMagic;
  const float r = (clamped - n * 0.693359375F) - n * -2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  const float mantissa = p * r * r + r + 1.0F;
  // 2^n in two factors: at n = 128 one would overflow.
  const auto exponent = std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kMagic);
  const std::int32_t half = exponent >> 1;
  const float scale = std::bit_cast<float>((half + 127) << 23);
  const float rest = std::bit_cast<float>((exponent - half + 127) << 23);
  const float result = mantissa * scale * rest;
  return x < -87.3F ? 0.0F : result;
}

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_CPU_VECTOR_H_
