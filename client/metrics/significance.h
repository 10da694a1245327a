// Whether a difference between two systems' scores may be chance, with the figures of sacreBLEU 2.6.0: p-values, means
// and 95 % intervals to the last printed digit. Scores are 0 to 100.
//
// All functions take what single sentences contribute to a score, so that a resample costs sums and no text.
// The two spans of a paired test belong together sentence by sentence; nothing is returned where their lengths differ,
// where they are empty, or where there are no trials.
#ifndef PETIT_CLIENT_METRICS_SIGNIFICANCE_H_
#define PETIT_CLIENT_METRICS_SIGNIFICANCE_H_

#include <cstdint>
#include <optional>
#include <span>

#include "client/metrics/bleu.h"
#include "client/metrics/chrf.h"

namespace petit::metrics {

inline constexpr int kBootstrapSamples = 1000;
inline constexpr int kRandomizationTrials = 10000;
inline constexpr std::uint64_t kResamplingSeed = 12345;

struct ResamplingOptions {
  int trials = kBootstrapSamples;
  std::uint64_t seed = kResamplingSeed;  // of NumPy's default_rng
};

// The mean over bootstrap resamples, and half the width of the interval that 95 % of them fall into.
struct Interval {
  double mean = 0.0;
  double half_width = 0.0;
};

struct PairedScores {
  double baseline = 0.0;
  double system = 0.0;
  // How probable a difference of this size or a larger one is where both systems are the same by nature: (c + 1) /
  // (trials + 1), c the trials that differ by more. Small even for equal systems where none does.
  double p_value = 1.0;
  // Paired bootstrap only.
  std::optional<Interval> baseline_interval = {};
  std::optional<Interval> system_interval = {};
};

// A sentence's share of a score that is the mean of its sentences' (ROUGE): 0 to 1.
using SentenceScores = std::span<const double>;

// Paired bootstrap resampling (Koehn 2004, as Moses does it): |difference| of each resample, centred, against the real
// one. sacreBLEU sums and divides in single precision here, and so does this.
[[nodiscard]] std::optional<PairedScores> PairedBootstrap(std::span<const BleuStatistics> baseline,
                                                          std::span<const BleuStatistics> system,
                                                          const ResamplingOptions& options = {});
[[nodiscard]] std::optional<PairedScores> PairedBootstrap(std::span<const ChrfStatistics> baseline,
                                                          std::span<const ChrfStatistics> system,
                                                          const ResamplingOptions& options = {});
// sacreBLEU has no such metric: the same procedure on means, in steps of 2^-40.
[[nodiscard]] std::optional<PairedScores> PairedBootstrap(SentenceScores baseline, SentenceScores system,
                                                          const ResamplingOptions& options = {});

// Approximate randomization (Riezler and Maxwell 2005): every trial swaps the systems' sentences by coin.
[[nodiscard]] std::optional<PairedScores> ApproximateRandomization(std::span<const BleuStatistics> baseline,
                                                                   std::span<const BleuStatistics> system,
                                                                   const ResamplingOptions& options = {
                                                                       .trials = kRandomizationTrials});
[[nodiscard]] std::optional<PairedScores> ApproximateRandomization(std::span<const ChrfStatistics> baseline,
                                                                   std::span<const ChrfStatistics> system,
                                                                   const ResamplingOptions& options = {
                                                                       .trials = kRandomizationTrials});
[[nodiscard]] std::optional<PairedScores> ApproximateRandomization(SentenceScores baseline, SentenceScores system,
                                                                   const ResamplingOptions& options = {
                                                                       .trials = kRandomizationTrials});

// Of one system alone: sacreBLEU's --confidence.
[[nodiscard]] std::optional<Interval> BootstrapInterval(std::span<const BleuStatistics> system,
                                                        const ResamplingOptions& options = {});
[[nodiscard]] std::optional<Interval> BootstrapInterval(std::span<const ChrfStatistics> system,
                                                        const ResamplingOptions& options = {});
[[nodiscard]] std::optional<Interval> BootstrapInterval(SentenceScores system, const ResamplingOptions& options = {});

}  // namespace petit::metrics

#endif  // PETIT_CLIENT_METRICS_SIGNIFICANCE_H_
