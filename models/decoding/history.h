// The ids of one hypothesis so far. std only.
#ifndef PETIT_MODELS_DECODING_HISTORY_H_
#define PETIT_MODELS_DECODING_HISTORY_H_

#include <algorithm>
#include <span>
#include <vector>

#include "models/decoding/options.h"

namespace petit::decoding {

// Copying reuses the target's memory, so beams can be shuffled at every step without allocating.
class History {
 public:
  // `track_distinct`: also keeps each id once, for the processors that need it.
  History(TokenId start, bool track_distinct) : track_distinct_(track_distinct) { Append(start); }

  void Append(TokenId id) {
    ids_.push_back(id);
    if (track_distinct_ && std::find(distinct_.begin(), distinct_.end(), id) == distinct_.end()) {
      distinct_.push_back(id);
    }
  }

  // Decoder inputs: the start token, then the generated ids.
  std::span<const TokenId> ids() const { return ids_; }
  std::span<const TokenId> generated() const { return std::span(ids_).subspan(1); }
  // Each of ids() once, in order of first appearance; empty unless tracked.
  std::span<const TokenId> distinct() const { return distinct_; }

 private:
  bool track_distinct_;
  std::vector<TokenId> ids_;
  std::vector<TokenId> distinct_;
};

}  // namespace petit::decoding

#endif  // PETIT_MODELS_DECODING_HISTORY_H_
