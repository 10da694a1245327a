// What can be said of a text without knowing its language.
#ifndef PETIT_CLIENT_DATA_TEXT_H_
#define PETIT_CLIENT_DATA_TEXT_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace petit::data {

// Byte offset of the first byte that does not belong to valid UTF-8 (RFC 3629: no overlong forms, no surrogates, at
// most U+10FFFF), or nothing.
std::optional<std::size_t> FindInvalidUtf8(std::string_view text);

// Empty, or ASCII white space only.
bool IsBlank(std::string_view text);

// A line of output cannot hold a line break: each becomes a space.
std::string OnOneLine(std::string text);

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_TEXT_H_
