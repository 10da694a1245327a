// What `petit score` computes: metrics of hypotheses against references, and whether a difference is chance.
#ifndef PETIT_CLIENT_CLI_SCORE_METRICS_H_
#define PETIT_CLIENT_CLI_SCORE_METRICS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/metrics/bleu.h"
#include "client/metrics/significance.h"

namespace petit::cli {

enum class ScoreMetric { kBleu, kChrf, kRouge, kRougeUnicode };

enum class PairedTest { kBootstrap, kRandomization };

// The lines of files that belong together; all of one length, at least one.
struct ScoreTexts {
  std::vector<std::string> references = {};
  std::vector<std::string> hypotheses = {};
  std::vector<std::string> baseline = {};  // empty: there is none
};

struct ScoreOptions {
  PairedTest test = PairedTest::kBootstrap;  // where there is a baseline
  bool confidence = false;                   // where there is none
  int trials = 0;                            // 0: 1000 samples, 10000 trials of a randomization
  std::uint64_t seed = metrics::kResamplingSeed;

  [[nodiscard]] int Trials() const;
};

struct MetricResult {
  std::string name = {};       // "BLEU", "chrF2", "ROUGE-L", "ROUGE-L (Unicode)"
  std::string signature = {};  // sacreBLEU's, without its version
  double score = 0;            // of the hypotheses, 0 to 100
  std::optional<metrics::BleuScore> bleu = {};
  std::optional<metrics::Interval> confidence = {};
  std::optional<metrics::PairedScores> paired = {};  // with a baseline
};

MetricResult ComputeMetric(ScoreMetric metric, const ScoreTexts& texts, const ScoreOptions& options);

// "49.0/23.9/13.8/8.4 (BP = 1.000 ratio = 1.011 hyp_len = 32614 ref_len = 32250)".
std::string FormatBleuDetail(const metrics::BleuScore& score);
// A line for each metric, as sacreBLEU has them: "BLEU|nrefs:1|... = 19.18 49.0/...", aligned at the "=". `width`:
// decimals of scores.
std::string FormatScores(const std::vector<MetricResult>& results, int width);
// A table of the two systems, the test and the signatures.
std::string FormatPaired(const std::vector<MetricResult>& results, const std::string& baseline,
                         const std::string& system, const ScoreOptions& options, int width);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_SCORE_METRICS_H_
