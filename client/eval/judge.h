// From what models answered to figures: reads a set and its cells' journals side by side.
#ifndef PETIT_CLIENT_EVAL_JUDGE_H_
#define PETIT_CLIENT_EVAL_JUDGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/eval/pass.h"
#include "client/eval/plan.h"
#include "client/metrics/significance.h"

namespace petit::eval {

struct Failure {
  std::int64_t line = 0;
  absl::Status status;
};

// A score of a corpus, 0 to 100, with its bootstrap.
struct MetricScore {
  double score = 0;
  double mean = 0;        // of the resamples
  double half_width = 0;  // of the interval that 95 % of them fall into
  // Of the differences from the baseline and from the teacher, by paired bootstrap; none for these themselves.
  std::optional<double> p_value = {};
  std::optional<double> teacher_p_value = {};
};

struct Divergence {
  double nats = 0;  // mean over the references' tokens
  std::int64_t tokens = 0;
};

struct Agreement {
  double exact = 0;  // share of translations that are the teacher's
  double bleu = 0;   // against the teacher's as references
};

struct CellScores {
  std::string model;
  std::string set;
  std::int64_t pairs = 0;
  MetricScore bleu;
  MetricScore chrf;
  MetricScore rouge_l;          // words of a-z and 0-9, as the rouge_score package has them
  MetricScore rouge_l_unicode;  // words of Unicode letters and digits
  std::optional<Divergence> divergence;
  std::optional<double> perplexity;
  std::optional<Agreement> agreement;
  double length_ratio = 0;  // BLEU tokens of the translations to those of the references
  std::int64_t empty = 0;
  std::int64_t truncated = 0;
  std::int64_t source_tokens = 0;
  std::int64_t unknown_source_tokens = 0;
  std::int64_t target_tokens = 0;
  std::vector<Failure> failures;  // they count as empty translations
};

struct ExampleHypothesis {
  std::string model;
  std::string text;
  double bleu = 0;  // of the sentence, with effective order
};

struct Example {
  std::string set;
  std::int64_t line = 0;
  std::string source;
  std::string reference;
  double disagreement = 0;  // mean over the pairs of models of 1 - chrF2 / 100 between their translations
  std::vector<ExampleHypothesis> hypotheses;
};

struct SetScores {
  std::vector<CellScores> cells;  // as the cells that were given
  std::vector<Example> examples;  // most disagreement first
  std::vector<std::string> problems;
};

struct Signatures {
  std::string bleu;
  std::string chrf;
  std::string rouge_l;
  std::string rouge_l_unicode;
};

// With one reference each.
[[nodiscard]] Signatures MetricSignatures();

// `cells` are those of one set, one a model. Writes the translations to DIRECTORY/SET/MODEL.txt, one a line, where
// `hypotheses_directory` is not empty. An error names the file that cannot be read or written.
[[nodiscard]] absl::StatusOr<SetScores> Judge(const Plan& plan, const std::vector<Cell*>& cells,
                                              const std::string& hypotheses_directory,
                                              const Surroundings& surroundings);

}  // namespace petit::eval

#endif  // PETIT_CLIENT_EVAL_JUDGE_H_
