// NumPy's random numbers, to the bit, so that resampled figures are those of packages built on it. Internal to the
// metrics.
#ifndef PETIT_CLIENT_METRICS_NUMPY_RANDOM_H_
#define PETIT_CLIENT_METRICS_NUMPY_RANDOM_H_

#include <cstdint>

namespace petit::metrics {

// numpy.random.default_rng(seed) of NumPy 1.17 and later: a SeedSequence (O'Neill's seed_seq_fe with 128 bits of state)
// starts a PCG64 (O'Neill 2014: pcg_setseq_128_xsl_rr_64).
class NumpyRandom {
 public:
  explicit NumpyRandom(std::uint64_t seed);

  std::uint64_t Next64();
  // A 64-bit number's low half first, then its high half.
  std::uint32_t Next32();
  // Uniform in [0, bound), as integers(0, bound) and choice(bound) draw an element: Lemire 2019, of 32 bits. `bound` in
  // [1, 2^32).
  std::uint32_t Below(std::uint32_t bound);

 private:
  using Uint128 = unsigned __int128;

  Uint128 state_ = 0;
  Uint128 increment_ = 0;
  std::uint32_t high_half_ = 0;
  bool has_high_half_ = false;
};

// Coins as integers(2, dtype=bool) draws them: the bits of 32-bit numbers, the lowest first.
class NumpyCoins {
 public:
  explicit NumpyCoins(std::uint64_t seed) : random_(seed) {}

  bool Next() {
    if (left_ == 0) {
      bits_ = random_.Next32();
      left_ = 32;
    }
    const bool coin = (bits_ & 1U) != 0;
    bits_ >>= 1;
    --left_;
    return coin;
  }

 private:
  NumpyRandom random_;
  std::uint32_t bits_ = 0;
  int left_ = 0;
};

// mean() of a one-dimensional array: pairwise sums in blocks of 128, eight accumulators in each, in the type of the
// array. T is float or double; `count` above 0.
template <typename T>
[[nodiscard]] T NumpyMean(const T* values, std::int64_t count);

extern template float NumpyMean(const float* values, std::int64_t count);
extern template double NumpyMean(const double* values, std::int64_t count);

}  // namespace petit::metrics

#endif  // PETIT_CLIENT_METRICS_NUMPY_RANDOM_H_
