// Reads a SentencePiece model and refuses what is broken. Internal to the tokenizer's library.
#ifndef PETIT_MODELS_TOKENIZER_MODEL_H_
#define PETIT_MODELS_TOKENIZER_MODEL_H_

#include <string>

#include "sentencepiece_processor.h"

namespace petit::tokenizer {

// Loads the file at `path` into `processor`, with SentencePiece's dummy prefix (a space before the text) or without,
// and probes it, because SentencePiece loads many corrupted files without a word. False on failure, with `error`
// saying what is wrong (without the path).
bool LoadModel(const std::string& path, bool add_dummy_prefix, sentencepiece::SentencePieceProcessor* processor,
               std::string* error);

}  // namespace petit::tokenizer

#endif  // PETIT_MODELS_TOKENIZER_MODEL_H_
