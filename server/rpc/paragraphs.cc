#include "server/rpc/paragraphs.h"

#include <algorithm>
#include <array>

namespace petit::serving {
namespace {

using namespace std::string_view_literals;

// Unicode's White_Space beyond ASCII, and the zero-width space and no-break space that tokenizers drop.
constexpr std::array kWideSpaces = {
    "\xc2\x85"sv,     "\xc2\xa0"sv,     "\xe1\x9a\x80"sv, "\xe2\x80\x80"sv, "\xe2\x80\x81"sv, "\xe2\x80\x82"sv,
    "\xe2\x80\x83"sv, "\xe2\x80\x84"sv, "\xe2\x80\x85"sv, "\xe2\x80\x86"sv, "\xe2\x80\x87"sv, "\xe2\x80\x88"sv,
    "\xe2\x80\x89"sv, "\xe2\x80\x8a"sv, "\xe2\x80\x8b"sv, "\xe2\x80\xa8"sv, "\xe2\x80\xa9"sv, "\xe2\x80\xaf"sv,
    "\xe2\x81\x9f"sv, "\xe3\x80\x80"sv, "\xef\xbb\xbf"sv};

}  // namespace

std::vector<Paragraph> SplitParagraphs(std::string_view text) {
  std::vector<Paragraph> paragraphs;
  while (true) {
    const std::size_t newline = text.find('\n');
    if (newline == std::string_view::npos) {
      paragraphs.push_back({text, ""});
      return paragraphs;
    }
    const std::size_t end = newline > 0 && text[newline - 1] == '\r' ? newline - 1 : newline;
    paragraphs.push_back({text.substr(0, end), text.substr(end, newline + 1 - end)});
    text.remove_prefix(newline + 1);
  }
}

bool IsBlank(std::string_view text) {
  while (!text.empty()) {
    if (text.front() == ' ' || (text.front() >= '\t' && text.front() <= '\r')) {
      text.remove_prefix(1);
      continue;
    }
    const auto* space = std::find_if(kWideSpaces.begin(), kWideSpaces.end(),
                                     [text](std::string_view wide) { return text.starts_with(wide); });
    if (space == kWideSpaces.end()) return false;
    text.remove_prefix(space->size());
  }
  return true;
}

}  // namespace petit::serving
