// Tables of pseudorandom logits, the same as make_decoding_goldens.py makes. std only.
#ifndef PETIT_TESTS_UNIT_DECODING_HASHED_TABLE_H_
#define PETIT_TESTS_UNIT_DECODING_HASHED_TABLE_H_

#include <cstdint>
#include <vector>

namespace petit::decoding {

inline std::uint64_t HashStep(std::uint64_t state, std::uint64_t value) {
  std::uint64_t z = (state ^ value) + 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// In [0, spread), a multiple of spread / 2^20: exact in fp32 where spread is a power of two.
inline float Hashed(std::uint64_t seed, std::uint64_t row, std::uint64_t column, int spread) {
  return static_cast<float>(HashStep(HashStep(HashStep(0, seed), row), column) >> 44) * 0x1p-20f *
         static_cast<float>(spread);
}

inline std::vector<std::vector<float>> HashedTable(std::uint64_t seed, int vocab, int spread) {
  std::vector<std::vector<float>> table(vocab, std::vector<float>(vocab));
  for (int i = 0; i < vocab; ++i) {
    for (int j = 0; j < vocab; ++j) table[i][j] = Hashed(seed, i, j, spread);
  }
  return table;
}

}  // namespace petit::decoding

#endif  // PETIT_TESTS_UNIT_DECODING_HASHED_TABLE_H_
