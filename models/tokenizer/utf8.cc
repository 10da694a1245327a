#include "models/tokenizer/utf8.h"

#include <array>
#include <cstddef>

#include "models/tokenizer/tokenizer.h"

namespace petit::tokenizer {
namespace {

// Python's str.isspace(): the code points of 1, 2 and 3 bytes.
constexpr std::array<std::string_view, 29> kSpaces = {
    "\t",           "\n",           "\v",           "\f",           "\r",
    "\x1c",         "\x1d",         "\x1e",         "\x1f",         " ",
    "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
    "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
    "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8",
    "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};

struct Range {
  unsigned char low;
  unsigned char high;
};

// Table 3-7 of the Unicode Standard: what may follow a lead byte. The number of bytes, 0 for none that leads.
int SequenceLength(unsigned char lead, Range* second) {
  *second = {0x80, 0xBF};
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if (lead == 0xE0) second->low = 0xA0;   // overlong below
    if (lead == 0xED) second->high = 0x9F;  // surrogates above
    return 3;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if (lead == 0xF0) second->low = 0x90;   // overlong below
    if (lead == 0xF4) second->high = 0x8F;  // U+10FFFF is the last
    return 4;
  }
  return 0;
}

}  // namespace

std::string_view StripLeft(std::string_view text) {
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view space : kSpaces) {
      if (!text.starts_with(space)) continue;
      text.remove_prefix(space.size());
      again = true;
      break;
    }
  }
  return text;
}

std::string_view StripRight(std::string_view text) {
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view space : kSpaces) {
      if (!text.ends_with(space)) continue;
      text.remove_suffix(space.size());
      again = true;
      break;
    }
  }
  return text;
}

std::ptrdiff_t FirstInvalidUtf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    Range second{};
    const int length = SequenceLength(static_cast<unsigned char>(text[i]), &second);
    if (length == 0 || i + length > text.size()) return static_cast<std::ptrdiff_t>(i);
    for (int k = 1; k < length; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + k]);
      const Range range = k == 1 ? second : Range{0x80, 0xBF};
      if (byte < range.low || byte > range.high) return static_cast<std::ptrdiff_t>(i);
    }
    i += length;
  }
  return -1;
}

}  // namespace petit::tokenizer
