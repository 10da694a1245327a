#include "models/distill/corpus.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "models/distill/functions.h"

namespace petit::distill {

absl::StatusOr<TrainCorpus> ReadTrainCorpus(const Settings& settings, const tokenizer::Tokenizer& tokenizer,
                                            TokenId eos, const Labeller& labeller) {
  TrainCorpus corpus;
  std::uint64_t digest = 0;
  for (const TextSet& set : settings.train) {
    const absl::StatusOr<std::vector<TextPair>> pairs = ReadPairs(set);
    if (!pairs.ok()) return pairs.status();
    std::vector<Example> examples;
    if (set.labels == Labels::kReference) {
      for (const TextPair& pair : *pairs) {
        examples.push_back(Tokenize(pair, settings.max_source_tokens, settings.max_target_tokens, tokenizer));
      }
    } else {
      std::vector<std::vector<TokenId>> sources;
      for (const TextPair& pair : *pairs) {
        sources.push_back(TokenizeText(pair.source, settings.max_source_tokens, tokenizer));
      }
      absl::StatusOr<std::vector<std::vector<TokenId>>> targets = labeller(set, sources);
      if (!targets.ok()) return targets.status();
      for (std::size_t i = 0; i < sources.size(); ++i) {
        Example example;
        example.source = std::move(sources[i]);
        example.target = std::move((*targets)[i]);
        example.target.push_back(eos);
        SetKey(&example);
        examples.push_back(std::move(example));
      }
    }
    for (const Example& example : examples) digest = MixBits(digest, example.key);
    corpus.shares.push_back(set.share > 0 ? set.share : static_cast<double>(examples.size()));
    corpus.replay.push_back(set.replay);
    corpus.sets.push_back(std::move(examples));
  }
  corpus.digest = absl::StrFormat("%016x", digest);
  return corpus;
}

absl::StatusOr<std::vector<DevCorpus>> ReadDevCorpora(const Settings& settings, const tokenizer::Tokenizer& tokenizer) {
  std::vector<DevCorpus> corpora;
  for (const TextSet& set : settings.dev) {
    absl::StatusOr<std::vector<TextPair>> pairs = ReadPairs(set);
    if (!pairs.ok()) return pairs.status();
    DevCorpus corpus{.set = set, .examples = {}, .references = {}};
    for (TextPair& pair : *pairs) {
      corpus.examples.push_back(Tokenize(pair, settings.max_source_tokens, settings.max_target_tokens, tokenizer));
      corpus.references.push_back(std::move(pair.target));
    }
    corpora.push_back(std::move(corpus));
  }
  return corpora;
}

}  // namespace petit::distill
