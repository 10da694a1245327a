// Text pairs from files, and their token ids.
#ifndef PETIT_MODELS_DISTILL_TEXT_DATA_H_
#define PETIT_MODELS_DISTILL_TEXT_DATA_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "models/distill/batch.h"
#include "models/distill/settings.h"
#include "models/tokenizer/tokenizer.h"

namespace petit::distill {

struct TextPair {
  std::string source;  // with the set's prefix
  std::string target;
};

// The lines of a set that it takes. INVALID_ARGUMENT names the file, the line and what is wrong with it: bad UTF-8, not
// two columns, an empty column, a line above 1 MiB; or that nothing is left after `skip`.
absl::StatusOr<std::vector<TextPair>> ReadPairs(const TextSet& set);

// Ids of both sides, cut to the limits with EOS kept.
Example Tokenize(const TextPair& pair, int max_source_tokens, int max_target_tokens,
                 const tokenizer::Tokenizer& tokenizer);

// Ids of one text.
std::vector<TokenId> TokenizeText(const std::string& text, int max_tokens, const tokenizer::Tokenizer& tokenizer);

// Sets `key` from the ids.
void SetKey(Example* example);

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_TEXT_DATA_H_
