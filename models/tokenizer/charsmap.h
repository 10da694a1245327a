// Checks of the normalizer's compiled rules in a SentencePiece model. Internal to the tokenizer's library.
#ifndef PETIT_MODELS_TOKENIZER_CHARSMAP_H_
#define PETIT_MODELS_TOKENIZER_CHARSMAP_H_

#include <string>
#include <string_view>

namespace petit::tokenizer {

// SentencePiece follows the double array of its normalizer without bounds checks, so that a flipped bit there makes
// it read outside memory at some later text. True if the rules of `model` (a serialized ModelProto) cannot: every
// state that any text reaches lies inside the array, no path is endless and every replacement is UTF-8. A model
// without rules passes. False otherwise, with `error` saying what is wrong.
bool CheckCharsmaps(std::string_view model, std::string* error);

}  // namespace petit::tokenizer

#endif  // PETIT_MODELS_TOKENIZER_CHARSMAP_H_
