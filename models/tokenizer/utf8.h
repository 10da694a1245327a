// UTF-8 and white space as Python sees them. Internal to the tokenizer's library.
#ifndef PETIT_MODELS_TOKENIZER_UTF8_H_
#define PETIT_MODELS_TOKENIZER_UTF8_H_

#include <string_view>

namespace petit::tokenizer {

// Without the white space (Unicode's, as str.isspace() knows it) at the start or at the end. `text` must be UTF-8.
std::string_view StripLeft(std::string_view text);
std::string_view StripRight(std::string_view text);
inline std::string_view Strip(std::string_view text) { return StripRight(StripLeft(text)); }

}  // namespace petit::tokenizer

#endif  // PETIT_MODELS_TOKENIZER_UTF8_H_
