#include "models/checkpoint/finite.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "absl/types/span.h"

namespace petit::checkpoint {
namespace {

// IEEE 754: a number is an infinity or a NaN exactly if all bits of its exponent are set.
constexpr std::uint32_t kF32Exponent = 0x7f800000;
constexpr std::uint16_t kBf16Exponent = 0x7f80;
constexpr std::uint16_t kF16Exponent = 0x7c00;

// One block is copied to an aligned array of constant length, so that the compiler vectorises the loop at -O2.
constexpr std::size_t kBlockBytes = 4096;

template <typename Word>
std::optional<std::int64_t> FirstWithExponent(absl::Span<const std::byte> data, Word exponent) {
  constexpr std::size_t kBlock = kBlockBytes / sizeof(Word);
  const std::size_t count = data.size() / sizeof(Word);
  for (std::size_t start = 0; start < count; start += kBlock) {
    alignas(64) Word block[kBlock] = {};  // zeros, finite, behind the last element
    const std::size_t length = std::min(kBlock, count - start);
    std::memcpy(block, data.data() + start * sizeof(Word), length * sizeof(Word));
    Word any = 0;
    for (std::size_t i = 0; i < kBlock; ++i) {
      any |= static_cast<Word>((block[i] & exponent) == exponent ? 1 : 0);
    }
    if (any == 0) continue;
    for (std::size_t i = 0; i < length; ++i) {
      if ((block[i] & exponent) == exponent) return static_cast<std::int64_t>(start + i);
    }
  }
  return std::nullopt;
}

template <typename Word>
std::string NameOf(absl::Span<const std::byte> data, std::int64_t index, Word exponent) {
  Word word = 0;
  std::memcpy(&word, data.data() + static_cast<std::size_t>(index) * sizeof(Word), sizeof(Word));
  constexpr Word kSign = static_cast<Word>(Word{1} << (8 * sizeof(Word) - 1));
  if ((word & ~(kSign | exponent)) != 0) return "NaN";
  return (word & kSign) != 0 ? "-Inf" : "+Inf";
}

}  // namespace

std::optional<std::int64_t> FirstNonFinite(DType dtype, absl::Span<const std::byte> data) {
  switch (dtype) {
    case DType::kF32:
      return FirstWithExponent<std::uint32_t>(data, kF32Exponent);
    case DType::kBF16:
      return FirstWithExponent<std::uint16_t>(data, kBf16Exponent);
    case DType::kF16:
      return FirstWithExponent<std::uint16_t>(data, kF16Exponent);
  }
  return std::nullopt;
}

std::string NonFiniteName(DType dtype, absl::Span<const std::byte> data, std::int64_t index) {
  switch (dtype) {
    case DType::kF32:
      return NameOf<std::uint32_t>(data, index, kF32Exponent);
    case DType::kBF16:
      return NameOf<std::uint16_t>(data, index, kBf16Exponent);
    case DType::kF16:
      return NameOf<std::uint16_t>(data, index, kF16Exponent);
  }
  return "";
}

}  // namespace petit::checkpoint
