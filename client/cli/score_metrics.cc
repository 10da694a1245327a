#include "client/cli/score_metrics.h"

#include <algorithm>
#include <span>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/table.h"
#include "client/metrics/chrf.h"
#include "client/metrics/rouge.h"

namespace petit::cli {
namespace {

using Lines = std::vector<std::string>;

constexpr int kBleuOrder = 4;

// Of each pair, `compute(hypothesis, reference)`.
template <typename Compute>
auto OfPairs(const Lines& hypotheses, const Lines& references, const Compute& compute) {
  std::vector<decltype(compute(hypotheses[0], references[0]))> all;
  all.reserve(hypotheses.size());
  for (std::size_t i = 0; i < hypotheses.size(); ++i) all.push_back(compute(hypotheses[i], references[i]));
  return all;
}

// "nrefs:1|bs:1000|seed:12345|case:mixed|..." of "nrefs:1|case:mixed|...".
std::string WithResampling(const std::string& signature, const char* kind, const ScoreOptions& options) {
  const std::size_t first = std::min(signature.find('|'), signature.size());
  return absl::StrCat(signature.substr(0, first), "|", kind, ":", options.Trials(), "|seed:", options.seed,
                      signature.substr(first));
}

// What all metrics have in common; `compute` gives what a pair contributes.
template <typename Compute>
void Resample(const ScoreTexts& texts, const ScoreOptions& options, const Compute& compute, MetricResult& result) {
  if (texts.baseline.empty() && !options.confidence) return;
  const metrics::ResamplingOptions resampling{.trials = options.Trials(), .seed = options.seed};
  const auto system = OfPairs(texts.hypotheses, texts.references, compute);
  const std::span system_span(system);
  if (texts.baseline.empty()) {
    result.confidence = metrics::BootstrapInterval(system_span, resampling);
    result.signature = WithResampling(result.signature, "bs", options);
    return;
  }
  const auto baseline = OfPairs(texts.baseline, texts.references, compute);
  const std::span baseline_span(baseline);
  if (options.test == PairedTest::kBootstrap) {
    result.paired = metrics::PairedBootstrap(baseline_span, system_span, resampling);
    result.signature = WithResampling(result.signature, "bs", options);
  } else {
    result.paired = metrics::ApproximateRandomization(baseline_span, system_span, resampling);
    result.signature = WithResampling(result.signature, "ar", options);
  }
}

MetricResult ComputeBleu(const ScoreTexts& texts, const ScoreOptions& options) {
  metrics::Bleu bleu;
  for (std::size_t i = 0; i < texts.hypotheses.size(); ++i) bleu.AddPair(texts.hypotheses[i], texts.references[i]);
  MetricResult result{.name = "BLEU", .signature = bleu.Signature(), .bleu = bleu.Score()};
  result.score = result.bleu->score;
  Resample(
      texts, options,
      [](const std::string& hypothesis, const std::string& reference) {
        return metrics::ComputeBleuStatistics(hypothesis, std::span(&reference, 1));
      },
      result);
  return result;
}

MetricResult ComputeChrf(const ScoreTexts& texts, const ScoreOptions& options) {
  metrics::Chrf chrf;
  for (std::size_t i = 0; i < texts.hypotheses.size(); ++i) chrf.AddPair(texts.hypotheses[i], texts.references[i]);
  MetricResult result{.name = "chrF2", .signature = chrf.Signature(), .score = chrf.Score()};
  Resample(
      texts, options,
      [](const std::string& hypothesis, const std::string& reference) {
        return metrics::ComputeChrfStatistics(hypothesis, std::span(&reference, 1));
      },
      result);
  return result;
}

MetricResult ComputeRouge(metrics::RougeWords words, const ScoreTexts& texts, const ScoreOptions& options) {
  metrics::RougeL rouge(words);
  for (std::size_t i = 0; i < texts.hypotheses.size(); ++i) rouge.AddPair(texts.hypotheses[i], texts.references[i]);
  MetricResult result{.name = words == metrics::RougeWords::kAscii ? "ROUGE-L" : "ROUGE-L (Unicode)",
                      .signature = rouge.Signature(),
                      .score = 100 * rouge.Score().f1};
  Resample(
      texts, options,
      [words](const std::string& hypothesis, const std::string& reference) {
        return metrics::SentenceRougeL(hypothesis, reference, words).f1;
      },
      result);
  return result;
}

std::string ScoreCell(double score, const std::optional<metrics::Interval>& interval, int width) {
  std::string cell = absl::StrFormat("%.*f", width, score);
  if (interval) absl::StrAppendFormat(&cell, " (%.*f ± %.*f)", width, interval->mean, width, interval->half_width);
  return cell;
}

}  // namespace

int ScoreOptions::Trials() const {
  if (trials > 0) return trials;
  return test == PairedTest::kBootstrap ? metrics::kBootstrapSamples : metrics::kRandomizationTrials;
}

MetricResult ComputeMetric(ScoreMetric metric, const ScoreTexts& texts, const ScoreOptions& options) {
  switch (metric) {
    case ScoreMetric::kBleu:
      return ComputeBleu(texts, options);
    case ScoreMetric::kChrf:
      return ComputeChrf(texts, options);
    case ScoreMetric::kRouge:
      return ComputeRouge(metrics::RougeWords::kAscii, texts, options);
    case ScoreMetric::kRougeUnicode:
      return ComputeRouge(metrics::RougeWords::kUnicode, texts, options);
  }
  return {};
}

std::string FormatBleuDetail(const metrics::BleuScore& score) {
  std::string detail;
  for (int n = 0; n < kBleuOrder; ++n) absl::StrAppendFormat(&detail, "%s%.1f", n == 0 ? "" : "/", score.precisions[n]);
  const auto hypothesis = static_cast<double>(score.statistics.hypothesis_length);
  const auto reference = static_cast<double>(score.statistics.reference_length);
  absl::StrAppendFormat(&detail, " (BP = %.3f ratio = %.3f hyp_len = %d ref_len = %d)", score.brevity_penalty,
                        reference > 0 ? hypothesis / reference : 0.0, score.statistics.hypothesis_length,
                        score.statistics.reference_length);
  return detail;
}

std::string FormatScores(const std::vector<MetricResult>& results, int width) {
  std::size_t longest = 0;
  for (const MetricResult& result : results) {
    longest = std::max(longest, result.name.size() + 1 + result.signature.size());
  }
  std::string text;
  for (const MetricResult& result : results) {
    const std::string left = absl::StrCat(result.name, "|", result.signature);
    absl::StrAppendFormat(&text, "%s%s = %.*f", std::string(longest - left.size(), ' '), left, width, result.score);
    if (result.confidence) {
      absl::StrAppendFormat(&text, " (μ = %.*f ± %.*f)", width, result.confidence->mean, width,
                            result.confidence->half_width);
    }
    if (result.bleu) absl::StrAppend(&text, " ", FormatBleuDetail(*result.bleu));
    absl::StrAppend(&text, "\n");
  }
  return text;
}

std::string FormatPaired(const std::vector<MetricResult>& results, const std::string& baseline,
                         const std::string& system, const ScoreOptions& options, int width) {
  const bool bootstrap = options.test == PairedTest::kBootstrap;
  std::vector<Table::Column> columns = {{.title = "SYSTEM"}};
  std::vector<std::string> first = {absl::StrCat("Baseline: ", baseline)};
  std::vector<std::string> second = {system};
  for (const MetricResult& result : results) {
    if (!result.paired) continue;
    columns.push_back({.title = absl::StrCat(result.name, bootstrap ? " (μ ± 95% CI)" : "")});
    first.push_back(ScoreCell(result.paired->baseline, result.paired->baseline_interval, width));
    second.push_back(absl::StrFormat("%s (p = %.4f)%s",
                                     ScoreCell(result.paired->system, result.paired->system_interval, width),
                                     result.paired->p_value, result.paired->p_value > 0.05 ? "" : "*"));
  }
  Table table(std::move(columns));
  table.AddRow(std::move(first));
  table.AddRow(std::move(second));
  std::string text =
      absl::StrCat(table.Format(), "\nPaired ", bootstrap ? "bootstrap resampling" : "approximate randomization",
                   " test with ", options.Trials(), bootstrap ? " resamples" : " trials",
                   ". p: how probable a difference of this size is by chance, were\n"
                   "the two systems the same by nature. *: p is at most 0.05.\n\n");
  for (const MetricResult& result : results) absl::StrAppend(&text, result.name, "|", result.signature, "\n");
  return text;
}

}  // namespace petit::cli
