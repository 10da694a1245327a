#include "models/distill/batch.h"

namespace petit::distill {

Batch MakeBatch(const std::vector<const Example*>& examples, TokenId decoder_start) {
  Batch batch;
  batch.examples = examples;
  for (const Example* example : examples) {
    batch.sources.insert(batch.sources.end(), example->source.begin(), example->source.end());
    batch.source_lengths.push_back(static_cast<int>(example->source.size()));
    batch.inputs.push_back(decoder_start);
    batch.inputs.insert(batch.inputs.end(), example->target.begin(), example->target.end() - 1);
    batch.targets.insert(batch.targets.end(), example->target.begin(), example->target.end());
    batch.target_lengths.push_back(static_cast<int>(example->target.size()));
  }
  return batch;
}

}  // namespace petit::distill
