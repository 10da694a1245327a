#include "models/checkpoint/finite.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "gtest/gtest.h"

namespace petit::checkpoint {
namespace {

// Every number of 16 bits, one after the other, against the definition of the format.
template <typename IsFinite>
void CheckAll16Bits(DType dtype, IsFinite is_finite) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto word = static_cast<std::uint16_t>(bits);
    const auto data = absl::MakeConstSpan(reinterpret_cast<const std::byte*>(&word), 2);
    ASSERT_EQ(FirstNonFinite(dtype, data).has_value(), !is_finite(word)) << bits;
  }
}

TEST(FiniteTest, KnowsEveryBf16) {
  CheckAll16Bits(DType::kBF16, [](std::uint16_t word) {
    const auto value = std::bit_cast<float>(std::uint32_t{word} << 16);
    return value - value == 0.0f;
  });
}

TEST(FiniteTest, KnowsEveryF16) {
  CheckAll16Bits(DType::kF16, [](std::uint16_t word) { return (word >> 10 & 31) != 31; });
}

TEST(FiniteTest, KnowsTheEdgesOfF32) {
  using Limits = std::numeric_limits<float>;
  const auto non_finite = [](float value) {
    return FirstNonFinite(DType::kF32, absl::MakeConstSpan(reinterpret_cast<const std::byte*>(&value), 4)).has_value();
  };
  for (const float value : {0.0f, -0.0f, Limits::max(), Limits::lowest(), Limits::denorm_min(), Limits::min()}) {
    EXPECT_FALSE(non_finite(value)) << value;
  }
  for (const float value : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), Limits::signaling_NaN()}) {
    EXPECT_TRUE(non_finite(value)) << value;
  }
}

TEST(FiniteTest, FindsTheFirstAtAnyPlaceOfUnalignedData) {
  constexpr std::size_t kCount = 3000;  // three blocks, the last one not full
  std::vector<std::byte> bytes(kCount * 4 + 1);
  const auto data = absl::MakeConstSpan(bytes).subspan(1);
  EXPECT_EQ(FirstNonFinite(DType::kF32, data), std::nullopt);
  const float infinity = -std::numeric_limits<float>::infinity();
  for (std::size_t at = kCount; at-- > 0;) {
    std::memcpy(bytes.data() + 1 + at * 4, &infinity, 4);
    ASSERT_EQ(FirstNonFinite(DType::kF32, data), static_cast<std::int64_t>(at));
  }
  EXPECT_EQ(NonFiniteName(DType::kF32, data, 2999), "-Inf");
}

TEST(FiniteTest, NothingIsFinite) { EXPECT_EQ(FirstNonFinite(DType::kF32, {}), std::nullopt); }

}  // namespace
}  // namespace petit::checkpoint
