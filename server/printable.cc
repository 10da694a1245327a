#include "server/printable.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "models/tokenizer/tokenizer.h"

namespace petit::serving {
namespace {

// Bytes of the character at the text's front if it must not stand in a line, else 0: C0 and C1 controls, DEL, and
// Unicode's line and paragraph separators.
std::size_t ControlBytes(std::string_view text) {
  const auto byte = static_cast<unsigned char>(text[0]);
  if (byte < 0x20 || byte == 0x7f) return 1;
  if (byte == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0) return 2;
  return text.starts_with("\u2028") || text.starts_with("\u2029") ? 3 : 0;
}

}  // namespace

std::string Printable(absl::string_view text, std::size_t max_bytes) {
  const bool cut = text.size() > max_bytes;
  std::string_view rest(text.data(), std::min(text.size(), max_bytes));
  std::string valid;
  for (std::ptrdiff_t bad = 0; (bad = tokenizer::FirstInvalidUtf8(rest)) >= 0;) {
    valid.append(rest.substr(0, bad));
    rest.remove_prefix(bad);
    // A character that the cut split goes; any other bad byte stays visible.
    const bool split = cut && rest.size() < 4 && static_cast<unsigned char>(rest[0]) >= 0xc0;
    if (!split) valid += '?';
    rest.remove_prefix(split ? rest.size() : 1);
  }
  valid.append(rest);
  std::string printable;
  printable.reserve(valid.size());
  for (std::string_view left = valid; !left.empty();) {
    const std::size_t control = ControlBytes(left);
    printable += control == 0 ? left[0] : left[0] == '\n' ? ' ' : '?';
    left.remove_prefix(std::max<std::size_t>(control, 1));
  }
  return printable;
}

}  // namespace petit::serving
