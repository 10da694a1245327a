// Text as Python's str sees it, for metrics that must give Python's figures. Internal to the metrics.
#ifndef PETIT_CLIENT_METRICS_TEXT_H_
#define PETIT_CLIENT_METRICS_TEXT_H_

#include <string>
#include <string_view>
#include <vector>

namespace petit::metrics {

// The code points of UTF-8 text. A byte that is not part of well-formed UTF-8 becomes one code point beyond Unicode,
// 0x110000 + byte, so that it equals only itself.
std::u32string DecodeUtf8(std::string_view text);

// str.isspace() of one code point.
bool IsSpace(char32_t code);

// Whether a word can hold it: letters, marks and numbers (categories L, M, N).
bool IsWord(char32_t code);

// str.lower(), code point by code point: a capital sigma at a word's end becomes the ordinary small one.
std::u32string Lower(std::u32string_view text);

// str.rstrip() and str.split() of UTF-8 text.
std::string_view StripRight(std::string_view text);
std::vector<std::string_view> SplitSpace(std::string_view text);

}  // namespace petit::metrics

#endif  // PETIT_CLIENT_METRICS_TEXT_H_
