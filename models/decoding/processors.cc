#include "models/decoding/processors.h"

#include <algorithm>
#include <cstddef>
#include <span>

namespace petit::decoding {

Processors::Processors(const DecodingOptions& options, const SpecialTokens& special)
    : start_(special.decoder_start),
      eos_(special.eos),
      max_new_tokens_(options.max_new_tokens),
      min_new_tokens_(options.min_new_tokens),
      repetition_penalty_(options.repetition_penalty),
      no_repeat_ngram_size_(options.no_repeat_ngram_size),
      forced_bos_(options.forced_bos),
      forced_eos_(options.forced_eos) {
  for (const std::vector<TokenId>& word : options.bad_words) {
    if (word.size() > 1) {
      banned_phrases_.push_back(word);
    } else if (std::find(eos_.begin(), eos_.end(), word[0]) == eos_.end()) {  // a lone EOS cannot be banned
      banned_ids_.push_back(word[0]);
    }
  }
}

History Processors::NewHistory() const { return {start_, repetition_penalty_ != 1.0f || no_repeat_ngram_size_ == 1}; }

void Processors::MakeEdits(const History& history, std::vector<Edit>* edits) const {
  edits->clear();
  const int generated = static_cast<int>(history.generated().size());

  // A forced id overrides every other edit of the row, so it comes alone; the later processor wins.
  const bool first = generated == 0;
  const bool last = generated == max_new_tokens_ - 1;
  if (last && forced_eos_) {
    edits->push_back({*forced_eos_, Edit::Kind::kForce, 0});
    return;
  }
  if (first && forced_bos_) {
    edits->push_back({*forced_bos_, Edit::Kind::kForce, 0});
    return;
  }

  if (repetition_penalty_ != 1.0f) {
    for (const TokenId id : history.distinct()) edits->push_back({id, Edit::Kind::kPenalize, repetition_penalty_});
  }
  if (no_repeat_ngram_size_ > 0) BanRepeatedNgrams(history, edits);
  BanBadWords(history, edits);
  if (generated < min_new_tokens_) {
    for (const TokenId id : eos_) edits->push_back({id, Edit::Kind::kBan, 0});
  }
}

void Processors::BanRepeatedNgrams(const History& history, std::vector<Edit>* edits) const {
  if (no_repeat_ngram_size_ == 1) {
    for (const TokenId id : history.distinct()) edits->push_back({id, Edit::Kind::kBan, 0});
    return;
  }
  const std::span<const TokenId> ids = history.ids();
  const std::size_t head = static_cast<std::size_t>(no_repeat_ngram_size_) - 1;
  if (ids.size() <= head) return;
  const std::span<const TokenId> tail = ids.last(head);
  for (std::size_t i = 0; i + head < ids.size(); ++i) {
    if (std::equal(tail.begin(), tail.end(), ids.begin() + i)) edits->push_back({ids[i + head], Edit::Kind::kBan, 0});
  }
}

void Processors::BanBadWords(const History& history, std::vector<Edit>* edits) const {
  for (const TokenId id : banned_ids_) edits->push_back({id, Edit::Kind::kBan, 0});
  const std::span<const TokenId> ids = history.ids();
  for (const std::vector<TokenId>& phrase : banned_phrases_) {
    // Upstream asks for a history as long as the whole phrase, not only as its head.
    if (phrase.size() > ids.size()) continue;
    if (std::equal(phrase.begin(), phrase.end() - 1, ids.end() - (phrase.size() - 1))) {
      edits->push_back({phrase.back(), Edit::Kind::kBan, 0});
    }
  }
}

}  // namespace petit::decoding
