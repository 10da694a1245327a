// What students are worth on the dev sets.
#ifndef PETIT_MODELS_DISTILL_EVALUATE_H_
#define PETIT_MODELS_DISTILL_EVALUATE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "models/distill/corpus.h"
#include "models/distill/module.h"
#include "models/distill/settings.h"
#include "models/distill/teacher_source.h"
#include "models/distill/trainer.h"
#include "models/tokenizer/tokenizer.h"

namespace petit::distill {

// One arm as it stands: its weights, and the same as a checkpoint, which translates.
struct Candidate {
  std::string arm;
  const T5Module* module = nullptr;
  std::string checkpoint;
};

struct EvaluateOptions {
  const Settings& settings;
  const tokenizer::Tokenizer& tokenizer;
  std::int64_t step = 0;
  Scorer scorer;
  std::function<bool()> stop;
};

// By set, then by candidate. The teacher, if there is one, runs once per batch for all of them. CANCELLED where `stop`
// answered true. May throw LibTorch's exceptions.
absl::StatusOr<std::vector<DevScore>> Evaluate(const std::vector<DevCorpus>& corpora,
                                               const std::vector<Candidate>& candidates, TeacherSource* teacher,
                                               const EvaluateOptions& options);

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_EVALUATE_H_
