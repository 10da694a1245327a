// Logits processors: a hypothesis' history becomes the sparse edits of its next row. std only.
//
// Rules and order are those of Hugging Face's generate(): repetition_penalty, no_repeat_ngram_size, bad_words,
// min_new_tokens, forced_bos, forced_eos. Histories begin with the start token, which counts.
#ifndef PETIT_MODELS_DECODING_PROCESSORS_H_
#define PETIT_MODELS_DECODING_PROCESSORS_H_

#include <optional>
#include <vector>

#include "models/decoding/history.h"
#include "models/decoding/options.h"
#include "models/decoding/step.h"

namespace petit::decoding {

class Processors {
 public:
  Processors(const DecodingOptions& options, const SpecialTokens& special);

  // An empty hypothesis, which tracks what these processors need.
  History NewHistory() const;

  // Replaces `edits` by those for the token that follows `history`. O(history) at most.
  void MakeEdits(const History& history, std::vector<Edit>* edits) const;

 private:
  void BanRepeatedNgrams(const History& history, std::vector<Edit>* edits) const;
  void BanBadWords(const History& history, std::vector<Edit>* edits) const;

  TokenId start_;
  std::vector<TokenId> eos_;
  int max_new_tokens_;
  int min_new_tokens_;
  float repetition_penalty_;
  int no_repeat_ngram_size_;
  std::vector<TokenId> banned_ids_;                   // bad words of one id
  std::vector<std::vector<TokenId>> banned_phrases_;  // of several
  std::optional<TokenId> forced_bos_;
  std::optional<TokenId> forced_eos_;
};

}  // namespace petit::decoding

#endif  // PETIT_MODELS_DECODING_PROCESSORS_H_
