// Text of unknown origin, made fit for messages and log lines.
#ifndef PETIT_SERVER_PRINTABLE_H_
#define PETIT_SERVER_PRINTABLE_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace petit::serving {

// `text` as one line of UTF-8 of at most max_bytes: bad bytes, control characters and line separators become '?', a
// newline becomes a space.
std::string Printable(absl::string_view text, std::size_t max_bytes);

}  // namespace petit::serving

#endif  // PETIT_SERVER_PRINTABLE_H_
