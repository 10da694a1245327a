#include "client/metrics/text.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace petit::metrics {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

struct LowerRun {
  char32_t first;
  char32_t last;
  char32_t stride;
  int delta;
};

#include "client/metrics/unicode_tables.inc"

constexpr char32_t kBadByte = 0x110000;

struct Decoded {
  char32_t code;
  std::size_t bytes;
};

// The code point at the start of `text`, which is not empty.
Decoded DecodeFirst(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const Decoded bad = {kBadByte + lead, 1};
  std::size_t bytes = 0;
  char32_t least = 0;
  char32_t code = 0;
  if ((lead & 0xE0) == 0xC0) {
    bytes = 2, least = 0x80, code = lead & 0x1F;
  } else if ((lead & 0xF0) == 0xE0) {
    bytes = 3, least = 0x800, code = lead & 0x0F;
  } else if ((lead & 0xF8) == 0xF0) {
    bytes = 4, least = 0x10000, code = lead & 0x07;
  } else {
    return bad;
  }
  if (text.size() < bytes) return bad;
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return bad;
    code = code << 6 | (byte(i) & 0x3F);
  }
  if (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return bad;
  return {code, bytes};
}

template <typename Table>
const auto* Find(const Table& table, char32_t code) {
  const auto* const above = std::upper_bound(std::begin(table), std::end(table), code,
                                             [](char32_t value, const auto& range) { return value < range.first; });
  return above == std::begin(table) ? nullptr : above - 1;
}

char32_t LowerOne(char32_t code) {
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
  // Two runs of stride 2 may interleave, so the one before counts too.
  const LowerRun* run = Find(kLowerRuns, code);
  for (int back = 0; back < 2 && run != nullptr; ++back) {
    if (code <= run->last && (code - run->first) % run->stride == 0) {
      return static_cast<char32_t>(static_cast<int>(code) + run->delta);
    }
    run = run == std::begin(kLowerRuns) ? nullptr : run - 1;
  }
  return code;
}

}  // namespace

std::u32string DecodeUtf8(std::string_view text) {
  std::u32string codes;
  codes.reserve(text.size());
  while (!text.empty()) {
    const Decoded decoded = DecodeFirst(text);
    codes.push_back(decoded.code);
    text.remove_prefix(decoded.bytes);
  }
  return codes;
}

bool IsSpace(char32_t code) {
  if (code < 0x80) return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20);
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
         code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool IsWord(char32_t code) {
  const Range* range = Find(kWordRanges, code);
  return range != nullptr && code <= range->last;
}

std::u32string Lower(std::u32string_view text) {
  std::u32string lower;
  lower.reserve(text.size());
  for (const char32_t code : text) {
    if (code == 0x130) {
      lower += {U'i', char32_t{0x307}};
    } else {
      lower.push_back(LowerOne(code));
    }
  }
  return lower;
}

std::string_view StripRight(std::string_view text) {
  std::size_t end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Decoded decoded = DecodeFirst(text.substr(at));
    at += decoded.bytes;
    if (!IsSpace(decoded.code)) end = at;
  }
  return text.substr(0, end);
}

std::vector<std::string_view> SplitSpace(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Decoded decoded = DecodeFirst(text.substr(at));
    if (IsSpace(decoded.code)) {
      if (at > begin) words.push_back(text.substr(begin, at - begin));
      begin = at + decoded.bytes;
    }
    at += decoded.bytes;
  }
  if (begin < text.size()) words.push_back(text.substr(begin));
  return words;
}

}  // namespace petit::metrics
