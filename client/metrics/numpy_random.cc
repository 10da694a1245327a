#include "client/metrics/numpy_random.h"

#include <array>
#include <bit>
#include <cstddef>
#include <limits>

namespace petit::metrics {
namespace {

constexpr std::size_t kPoolWords = 4;
using Pool = std::array<std::uint32_t, kPoolWords>;

// A hash whose constant changes with every word.
class WordHash {
 public:
  WordHash(std::uint32_t start, std::uint32_t multiplier) : constant_(start), multiplier_(multiplier) {}

  std::uint32_t operator()(std::uint32_t word) {
    word ^= constant_;
    constant_ *= multiplier_;
    word *= constant_;
    return word ^ word >> 16;
  }

 private:
  std::uint32_t constant_;
  const std::uint32_t multiplier_;
};

std::uint32_t Mix(std::uint32_t left, std::uint32_t right) {
  const std::uint32_t mixed = 0xca01f9ddU * left - 0x4973f715U * right;
  return mixed ^ mixed >> 16;
}

Pool MakePool(std::uint64_t seed) {
  WordHash hash(0x43b0d7e5U, 0x931e8875U);
  Pool pool;
  // The seed's words, the low one first; a word that is not there counts as 0.
  for (std::size_t i = 0; i < kPoolWords; ++i) {
    pool[i] = hash(i < 2 ? static_cast<std::uint32_t>(seed >> (32 * i)) : 0U);
  }
  for (std::size_t from = 0; from < kPoolWords; ++from) {
    for (std::size_t to = 0; to < kPoolWords; ++to) {
      if (from != to) pool[to] = Mix(pool[to], hash(pool[from]));
    }
  }
  return pool;
}

constexpr std::uint64_t kMultiplierHigh = 2549297995355413924ULL;
constexpr std::uint64_t kMultiplierLow = 4865540595714422341ULL;

template <typename T>
T PairwiseSum(const T* values, std::int64_t count) {
  constexpr std::int64_t kLanes = 8;
  constexpr std::int64_t kBlock = 128;
  if (count < kLanes) {
    T sum = static_cast<T>(-0.0);
    for (std::int64_t i = 0; i < count; ++i) sum += values[i];
    return sum;
  }
  if (count <= kBlock) {
    std::array<T, kLanes> lanes;
    for (std::int64_t k = 0; k < kLanes; ++k) lanes[k] = values[k];
    std::int64_t i = kLanes;
    for (; i + kLanes <= count; i += kLanes) {
      for (std::int64_t k = 0; k < kLanes; ++k) lanes[k] += values[i + k];
    }
    T sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
    for (; i < count; ++i) sum += values[i];
    return sum;
  }
  std::int64_t half = count / 2;
  half -= half % kLanes;
  return PairwiseSum(values, half) + PairwiseSum(values + half, count - half);
}

}  // namespace

NumpyRandom::NumpyRandom(std::uint64_t seed) {
  const Pool pool = MakePool(seed);
  WordHash hash(0x8b51f9ddU, 0x58f38dedU);
  std::array<std::uint64_t, 4> words;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::uint64_t low = hash(pool[2 * i % kPoolWords]);
    const std::uint64_t high = hash(pool[(2 * i + 1) % kPoolWords]);
    words[i] = low | high << 32;
  }
  const Uint128 start = static_cast<Uint128>(words[0]) << 64 | words[1];
  const Uint128 stream = static_cast<Uint128>(words[2]) << 64 | words[3];
  increment_ = stream << 1 | 1U;
  // From zero: a step, the start added, a step.
  state_ = increment_ + start;
  state_ = state_ * (static_cast<Uint128>(kMultiplierHigh) << 64 | kMultiplierLow) + increment_;
}

std::uint64_t NumpyRandom::Next64() {
  state_ = state_ * (static_cast<Uint128>(kMultiplierHigh) << 64 | kMultiplierLow) + increment_;
  const auto folded = static_cast<std::uint64_t>(state_ >> 64) ^ static_cast<std::uint64_t>(state_);
  return std::rotr(folded, static_cast<int>(state_ >> 122));
}

std::uint32_t NumpyRandom::Next32() {
  if (has_high_half_) {
    has_high_half_ = false;
    return high_half_;
  }
  const std::uint64_t both = Next64();
  has_high_half_ = true;
  high_half_ = static_cast<std::uint32_t>(both >> 32);
  return static_cast<std::uint32_t>(both);
}

std::uint32_t NumpyRandom::Below(std::uint32_t bound) {
  if (bound <= 1) return 0;  // nothing is drawn for what is certain
  std::uint64_t product = static_cast<std::uint64_t>(Next32()) * bound;
  if (static_cast<std::uint32_t>(product) < bound) {
    // 2^32 mod bound: the products that would make some numbers likelier than others.
    const std::uint32_t unfair = (std::numeric_limits<std::uint32_t>::max() - (bound - 1)) % bound;
    while (static_cast<std::uint32_t>(product) < unfair) product = static_cast<std::uint64_t>(Next32()) * bound;
  }
  return static_cast<std::uint32_t>(product >> 32);
}

template <typename T>
T NumpyMean(const T* values, std::int64_t count) {
  return PairwiseSum(values, count) / static_cast<T>(count);
}

template float NumpyMean(const float* values, std::int64_t count);
template double NumpyMean(const double* values, std::int64_t count);

}  // namespace petit::metrics
