// All of a run's examples, tokenized.
#ifndef PETIT_MODELS_DISTILL_CORPUS_H_
#define PETIT_MODELS_DISTILL_CORPUS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "models/distill/batch.h"
#include "models/distill/settings.h"
#include "models/distill/text_data.h"
#include "models/tokenizer/tokenizer.h"

namespace petit::distill {

struct TrainCorpus {
  std::vector<std::vector<Example>> sets;
  std::vector<double> shares;
  std::vector<bool> replay;
  std::string digest;  // hex, of every id
};

struct DevCorpus {
  TextSet set;
  std::vector<Example> examples;
  std::vector<std::string> references;
};

// Makes teacher-labelled targets: ids without EOS, in the sources' order.
using Labeller = std::function<absl::StatusOr<std::vector<std::vector<TokenId>>>(
    const TextSet& set, const std::vector<std::vector<TokenId>>& sources)>;

absl::StatusOr<TrainCorpus> ReadTrainCorpus(const Settings& settings, const tokenizer::Tokenizer& tokenizer,
                                            TokenId eos, const Labeller& labeller);
absl::StatusOr<std::vector<DevCorpus>> ReadDevCorpora(const Settings& settings, const tokenizer::Tokenizer& tokenizer);

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_CORPUS_H_
