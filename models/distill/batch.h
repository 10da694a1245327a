// Training examples, packed: sequences of ids one after the other, without padding.
#ifndef PETIT_MODELS_DISTILL_BATCH_H_
#define PETIT_MODELS_DISTILL_BATCH_H_

#include <cstdint>
#include <vector>

#include "models/t5/config.h"

namespace petit::distill {

using t5::TokenId;

struct Example {
  std::vector<TokenId> source;  // EOS included, as target
  std::vector<TokenId> target;
  // Its place in the teacher's cache: 64 bits of a digest of both.
  std::uint64_t key = 0;
};

struct Batch {
  std::vector<TokenId> sources;
  std::vector<int> source_lengths;
  std::vector<TokenId> inputs;  // the decoder's: the start token, then the targets but for their last
  std::vector<TokenId> targets;
  std::vector<int> target_lengths;
  std::vector<const Example*> examples;

  std::int64_t target_tokens() const { return static_cast<std::int64_t>(targets.size()); }
  std::int64_t source_tokens() const { return static_cast<std::int64_t>(sources.size()); }
};

Batch MakeBatch(const std::vector<const Example*>& examples, TokenId decoder_start);

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_BATCH_H_
