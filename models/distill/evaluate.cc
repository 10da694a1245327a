#include "models/distill/evaluate.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "models/checkpoint/checkpoint.h"
#include "models/distill/generate.h"
#include "models/distill/loss.h"

namespace petit::distill {
namespace {

constexpr std::size_t kBatch = 32;

struct Sums {
  double cross_entropy = 0;
  double kl = 0;
  std::int64_t tokens = 0;
};

// Teacher forcing over the whole set, like lengths together.
absl::StatusOr<std::vector<Sums>> ForcedLosses(const DevCorpus& corpus, const std::vector<Candidate>& candidates,
                                               TeacherSource* teacher, const EvaluateOptions& options) {
  const at::NoGradGuard no_gradient;
  std::vector<std::size_t> order(corpus.examples.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return corpus.examples[a].target.size() < corpus.examples[b].target.size();
  });
  std::vector<Sums> sums(candidates.size());
  LossSettings plain;
  plain.temperature = 1;
  for (std::size_t begin = 0; begin < order.size(); begin += kBatch) {
    if (options.stop && options.stop()) return absl::CancelledError("asked to stop");
    std::vector<const Example*> chosen;
    for (std::size_t i = begin; i < std::min(order.size(), begin + kBatch); ++i) {
      chosen.push_back(&corpus.examples[order[i]]);
    }
    const Batch batch = MakeBatch(chosen, candidates[0].module->config().decoder_start_token_id);
    TeacherOutputs taught;
    if (teacher != nullptr) {
      absl::StatusOr<TeacherOutputs> outputs = teacher->Get(batch, 1, false);
      if (!outputs.ok()) return outputs.status();
      taught = *std::move(outputs);
    }
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const T5Module::Outputs outputs = candidates[i].module->Forward(batch, options.settings.precision, 0, nullptr);
      const LossOutput loss = DistillationLoss({.hidden = outputs.hidden,
                                                .output_weight = outputs.output_weight,
                                                .targets = batch.targets,
                                                .teacher = taught.targets,
                                                .alpha = 0.5,
                                                .loss = plain,
                                                .distribution_size = options.tokenizer.size(),
                                                .want_gradients = false});
      sums[i].cross_entropy += loss.cross_entropy;
      sums[i].kl += loss.kl;
      sums[i].tokens += batch.target_tokens();
    }
  }
  return sums;
}

// Of each set.
absl::StatusOr<std::vector<TextScores>> TranslationScores(const std::vector<DevCorpus>& corpora,
                                                          const Candidate& candidate, const EvaluateOptions& options) {
  const absl::StatusOr<checkpoint::Checkpoint> checkpoint = checkpoint::Checkpoint::Open(candidate.checkpoint);
  if (!checkpoint.ok()) return checkpoint.status();
  absl::StatusOr<Generator> generator =
      Generator::Load(*checkpoint, {.device = options.settings.device,
                                    .precision = options.settings.precision,
                                    .max_new_tokens = options.settings.max_target_tokens,
                                    .distribution_size = options.tokenizer.size()});
  if (!generator.ok()) return generator.status();
  std::vector<TextScores> scores;
  for (const DevCorpus& corpus : corpora) {
    std::vector<std::vector<TokenId>> sources;
    for (const Example& example : corpus.examples) sources.push_back(example.source);
    const absl::StatusOr<std::vector<std::vector<TokenId>>> ids = generator->Run(sources, options.stop);
    if (!ids.ok()) return ids.status();
    std::vector<std::string> hypotheses;
    for (const std::vector<TokenId>& text : *ids) hypotheses.push_back(options.tokenizer.Decode(text));
    scores.push_back(options.scorer(hypotheses, corpus.references));
  }
  return scores;
}

}  // namespace

absl::StatusOr<std::vector<DevScore>> Evaluate(const std::vector<DevCorpus>& corpora,
                                               const std::vector<Candidate>& candidates, TeacherSource* teacher,
                                               const EvaluateOptions& options) {
  std::vector<DevScore> scores;
  if (candidates.empty()) return scores;
  std::vector<std::vector<TextScores>> translations;  // by candidate, then by set
  for (const Candidate& candidate : candidates) {
    absl::StatusOr<std::vector<TextScores>> scored = TranslationScores(corpora, candidate, options);
    if (!scored.ok()) return scored.status();
    translations.push_back(*std::move(scored));
  }
  for (std::size_t set = 0; set < corpora.size(); ++set) {
    const DevCorpus& corpus = corpora[set];
    const absl::StatusOr<std::vector<Sums>> sums = ForcedLosses(corpus, candidates, teacher, options);
    if (!sums.ok()) return sums.status();
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const double tokens = static_cast<double>((*sums)[i].tokens);
      DevScore score{.arm = candidates[i].arm,
                     .set = corpus.set.name,
                     .step = options.step,
                     .out_of_domain = corpus.set.out_of_domain,
                     .cross_entropy = (*sums)[i].cross_entropy / tokens,
                     .kl = std::nullopt,
                     .bleu = translations[i][set].bleu,
                     .chrf = translations[i][set].chrf,
                     .pairs = static_cast<std::int64_t>(corpus.examples.size())};
      if (teacher != nullptr) score.kl = (*sums)[i].kl / tokens;
      scores.push_back(std::move(score));
    }
  }
  return scores;
}

}  // namespace petit::distill
