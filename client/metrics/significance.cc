#include "client/metrics/significance.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <vector>

#include "client/metrics/numpy_random.h"

namespace petit::metrics {
namespace {

// A resample's score. sacreBLEU's are NumPy's single-precision numbers where the metric's own arithmetic made them so,
// and what is computed from them stays single.
struct SampleScore {
  double value = 0.0;
  bool single = false;
};

// What the resampling has to know of a metric: how many sums it is made of, a sentence's share in them, in whole
// numbers, and the score of the sums over `sentences` sentences.
struct BleuMetric {
  using Sentence = BleuStatistics;
  using Sum = float;
  static constexpr int kOrders = 4;
  static constexpr std::size_t kSums = 2 + 2 * kOrders;

  static std::array<std::int64_t, kSums> Row(const Sentence& sentence) {
    std::array<std::int64_t, kSums> row = {sentence.hypothesis_length, sentence.reference_length};
    for (int n = 0; n < kOrders; ++n) {
      row[2 + n] = sentence.correct[n];
      row[2 + kOrders + n] = sentence.total[n];
    }
    return row;
  }

  static double Score(const std::array<std::int64_t, kSums>& sums, std::int64_t /*sentences*/) {
    BleuStatistics statistics;
    statistics.hypothesis_length = sums[0];
    statistics.reference_length = sums[1];
    for (int n = 0; n < kOrders; ++n) {
      statistics.correct[n] = sums[2 + n];
      statistics.total[n] = sums[2 + kOrders + n];
    }
    return ComputeBleu(statistics).score;
  }

  // Precisions are single, their logarithms and all else double.
  static SampleScore Score(const std::array<float, kSums>& sums, std::int64_t /*sentences*/) {
    const float* const correct = sums.data() + 2;
    const float* const total = correct + kOrders;
    if (std::all_of(correct, total, [](float count) { return count == 0; })) return {};
    const double hypothesis = std::trunc(sums[0]);
    const double reference = std::trunc(sums[1]);
    double brevity_penalty = 1.0;
    if (hypothesis < reference) brevity_penalty = hypothesis > 0 ? std::exp(1 - reference / hypothesis) : 0.0;
    constexpr double kLogOfZero = -9999999999.0;
    std::array<double, kOrders> logs;
    logs.fill(kLogOfZero);
    float smooth = 1.0F;
    for (int n = 0; n < kOrders && total[n] > 0; ++n) {
      if (correct[n] == 0) smooth *= 2;
      const float precision = correct[n] == 0 ? 100.0F / (smooth * total[n]) : 100.0F * correct[n] / total[n];
      logs[n] = std::log(static_cast<double>(precision));
    }
    double sum = 0.0;
    for (const double log : logs) sum += log;
    return {.value = brevity_penalty * std::exp(sum / kOrders)};
  }
};

struct ChrfMetric {
  using Sentence = ChrfStatistics;
  using Sum = float;
  static constexpr std::size_t kSums = std::size_t{3} * kChrfOrders;

  static std::array<std::int64_t, kSums> Row(const Sentence& sentence) {
    std::array<std::int64_t, kSums> row;
    for (std::size_t n = 0; n < kChrfOrders; ++n) {
      row[3 * n] = sentence.hypothesis[n];
      row[3 * n + 1] = sentence.reference[n];
      row[3 * n + 2] = sentence.match[n];
    }
    return row;
  }

  static double Score(const std::array<std::int64_t, kSums>& sums, std::int64_t /*sentences*/) {
    ChrfStatistics statistics;
    for (std::size_t n = 0; n < kChrfOrders; ++n) {
      statistics.hypothesis[n] = sums[3 * n];
      statistics.reference[n] = sums[3 * n + 1];
      statistics.match[n] = sums[3 * n + 2];
    }
    return ComputeChrf(statistics);
  }

  static SampleScore Score(const std::array<float, kSums>& sums, std::int64_t /*sentences*/) {
    float precision = 0;
    float recall = 0;
    int orders = 0;
    for (std::size_t n = 0; n < kChrfOrders; ++n) {
      const float hypothesis = sums[3 * n];
      const float reference = sums[3 * n + 1];
      if (hypothesis <= 0 || reference <= 0) continue;
      precision += sums[3 * n + 2] / hypothesis;
      recall += sums[3 * n + 2] / reference;
      ++orders;
    }
    if (orders == 0) return {};
    precision /= static_cast<float>(orders);
    recall /= static_cast<float>(orders);
    if (precision + recall == 0) return {};
    constexpr float kFactor = 4;  // beta 2, squared
    const float score = (1 + kFactor) * precision * recall / (kFactor * precision + recall);
    return {.value = 100 * score, .single = true};
  }
};

// Sums of fractions would depend on their order, and with it whether two trials are equal; whole numbers' do not.
struct MeanMetric {
  using Sentence = double;
  using Sum = std::int64_t;
  static constexpr std::size_t kSums = 1;
  static constexpr double kUnit = 1.0 / static_cast<double>(std::int64_t{1} << 40);

  static std::array<std::int64_t, kSums> Row(double sentence) { return {std::llround(sentence / kUnit)}; }

  static double Mean(std::int64_t sum, std::int64_t sentences) {
    return 100.0 * (static_cast<double>(sum) * kUnit) / static_cast<double>(sentences);
  }
  static double Score(const std::array<std::int64_t, kSums>& sums, std::int64_t sentences) {
    return Mean(sums[0], sentences);
  }
};

SampleScore ScoreSample(const BleuMetric& /*metric*/, const std::array<float, BleuMetric::kSums>& sums,
                        std::int64_t sentences) {
  return BleuMetric::Score(sums, sentences);
}
SampleScore ScoreSample(const ChrfMetric& /*metric*/, const std::array<float, ChrfMetric::kSums>& sums,
                        std::int64_t sentences) {
  return ChrfMetric::Score(sums, sentences);
}
SampleScore ScoreSample(const MeanMetric& /*metric*/, const std::array<std::int64_t, MeanMetric::kSums>& sums,
                        std::int64_t sentences) {
  return {.value = MeanMetric::Score(sums, sentences)};
}

template <typename Metric>
double RealScore(std::span<const typename Metric::Sentence> sentences) {
  std::array<std::int64_t, Metric::kSums> sums{};
  for (const auto& sentence : sentences) {
    const auto row = Metric::Row(sentence);
    for (std::size_t k = 0; k < Metric::kSums; ++k) sums[k] += row[k];
  }
  return Metric::Score(sums, static_cast<std::int64_t>(sentences.size()));
}

// The scores of all resamples; single where each of them is, as an array of NumPy's would be.
struct SampleScores {
  std::vector<double> values;
  bool single = true;

  void Add(const SampleScore& score) {
    values.push_back(score.value);
    single = single && score.single;
  }
};

// The same samples for every system: each call draws the same indices.
template <typename Metric>
SampleScores Resample(std::span<const typename Metric::Sentence> sentences, const ResamplingOptions& options) {
  using Sum = typename Metric::Sum;
  std::vector<std::array<Sum, Metric::kSums>> rows(sentences.size());
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    const auto row = Metric::Row(sentences[i]);
    for (std::size_t k = 0; k < Metric::kSums; ++k) rows[i][k] = static_cast<Sum>(row[k]);
  }
  NumpyRandom random(options.seed);
  SampleScores scores;
  scores.values.reserve(options.trials);
  for (int trial = 0; trial < options.trials; ++trial) {
    std::array<Sum, Metric::kSums> sums{};
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto& row = rows[random.Below(static_cast<std::uint32_t>(rows.size()))];
      for (std::size_t k = 0; k < Metric::kSums; ++k) sums[k] += row[k];
    }
    scores.Add(ScoreSample(Metric{}, sums, static_cast<std::int64_t>(rows.size())));
  }
  return scores;
}

double Mean(const SampleScores& scores) {
  const auto count = static_cast<std::int64_t>(scores.values.size());
  if (!scores.single) return NumpyMean(scores.values.data(), count);
  const std::vector<float> values(scores.values.begin(), scores.values.end());
  return NumpyMean(values.data(), count);
}

double HalfWidth(const std::vector<double>& sorted, bool single) {
  const std::size_t cut = sorted.size() / 40;  // 2.5 %
  const double low = sorted[cut];
  const double high = sorted[sorted.size() - cut - 1];
  return single ? 0.5F * (static_cast<float>(high) - static_cast<float>(low)) : 0.5 * (high - low);
}

Interval MakeInterval(SampleScores scores) {
  std::sort(scores.values.begin(), scores.values.end());
  return {.mean = Mean(scores), .half_width = HalfWidth(scores.values, scores.single)};
}

double PValue(std::int64_t larger, std::size_t trials) {
  return static_cast<double>(larger + 1) / static_cast<double>(trials + 1);
}

// How many of the resamples' differences, centred at their mean, exceed the real one; all in the type T of NumPy's
// arrays.
template <typename T>
std::int64_t CountLarger(const std::vector<double>& baseline, const std::vector<double>& system, double difference) {
  std::vector<T> differences(baseline.size());
  for (std::size_t i = 0; i < differences.size(); ++i) {
    differences[i] = std::abs(static_cast<T>(system[i]) - static_cast<T>(baseline[i]));
  }
  const T mean = NumpyMean(differences.data(), static_cast<std::int64_t>(differences.size()));
  return std::count_if(differences.begin(), differences.end(),
                       [&](T value) { return value - mean > static_cast<T>(difference); });
}

template <typename Metric>
using Sentences = std::span<const typename Metric::Sentence>;

bool CanResample(std::size_t sentences, const ResamplingOptions& options) {
  return sentences > 0 && sentences < (std::uint64_t{1} << 32) && options.trials > 0;
}

template <typename Metric>
std::optional<PairedScores> Bootstrap(Sentences<Metric> baseline, Sentences<Metric> system,
                                      const ResamplingOptions& options) {
  if (baseline.size() != system.size() || !CanResample(system.size(), options)) return std::nullopt;
  PairedScores result{.baseline = RealScore<Metric>(baseline), .system = RealScore<Metric>(system)};
  const SampleScores of_baseline = Resample<Metric>(baseline, options);
  const SampleScores of_system = Resample<Metric>(system, options);
  const double difference = std::abs(result.baseline - result.system);
  const std::int64_t larger = of_baseline.single && of_system.single
                                  ? CountLarger<float>(of_baseline.values, of_system.values, difference)
                                  : CountLarger<double>(of_baseline.values, of_system.values, difference);
  result.p_value = PValue(larger, of_system.values.size());
  result.baseline_interval = MakeInterval(of_baseline);
  result.system_interval = MakeInterval(of_system);
  return result;
}

template <typename Metric>
std::optional<PairedScores> Randomize(Sentences<Metric> baseline, Sentences<Metric> system,
                                      const ResamplingOptions& options) {
  if (baseline.size() != system.size() || !CanResample(system.size(), options)) return std::nullopt;
  PairedScores result{.baseline = RealScore<Metric>(baseline), .system = RealScore<Metric>(system)};
  const double difference = std::abs(result.baseline - result.system);
  const auto sentences = static_cast<std::int64_t>(system.size());
  // A swap moves the difference of two rows from one side to the other; both sides' sum stays.
  using Row = std::array<std::int64_t, Metric::kSums>;
  std::vector<Row> swaps(system.size());
  Row unswapped{};
  Row both{};
  for (std::size_t i = 0; i < system.size(); ++i) {
    const Row of_baseline = Metric::Row(baseline[i]);
    const Row of_system = Metric::Row(system[i]);
    for (std::size_t k = 0; k < Metric::kSums; ++k) {
      swaps[i][k] = of_baseline[k] - of_system[k];
      unswapped[k] += of_system[k];
      both[k] += of_baseline[k] + of_system[k];
    }
  }
  NumpyCoins coins(options.seed);
  std::int64_t larger = 0;
  for (int trial = 0; trial < options.trials; ++trial) {
    Row first = unswapped;
    for (const Row& swap : swaps) {
      const std::int64_t mask = -static_cast<std::int64_t>(coins.Next());  // all ones or none, without a branch
      for (std::size_t k = 0; k < Metric::kSums; ++k) first[k] += swap[k] & mask;
    }
    Row second;
    for (std::size_t k = 0; k < Metric::kSums; ++k) second[k] = both[k] - first[k];
    if (std::abs(Metric::Score(first, sentences) - Metric::Score(second, sentences)) > difference) ++larger;
  }
  result.p_value = PValue(larger, static_cast<std::size_t>(options.trials));
  return result;
}

template <typename Metric>
std::optional<Interval> OneInterval(Sentences<Metric> system, const ResamplingOptions& options) {
  if (!CanResample(system.size(), options)) return std::nullopt;
  const SampleScores scores = Resample<Metric>(system, options);
  Interval interval = MakeInterval(scores);
  // Here sacreBLEU takes the exact mean, not NumPy's.
  const long double sum = std::accumulate(scores.values.begin(), scores.values.end(), 0.0L);
  interval.mean = static_cast<double>(sum / static_cast<long double>(scores.values.size()));
  if (scores.single) interval.mean = static_cast<float>(interval.mean);
  return interval;
}

}  // namespace

std::optional<PairedScores> PairedBootstrap(std::span<const BleuStatistics> baseline,
                                            std::span<const BleuStatistics> system, const ResamplingOptions& options) {
  return Bootstrap<BleuMetric>(baseline, system, options);
}
std::optional<PairedScores> PairedBootstrap(std::span<const ChrfStatistics> baseline,
                                            std::span<const ChrfStatistics> system, const ResamplingOptions& options) {
  return Bootstrap<ChrfMetric>(baseline, system, options);
}
std::optional<PairedScores> PairedBootstrap(SentenceScores baseline, SentenceScores system,
                                            const ResamplingOptions& options) {
  return Bootstrap<MeanMetric>(baseline, system, options);
}

std::optional<PairedScores> ApproximateRandomization(std::span<const BleuStatistics> baseline,
                                                     std::span<const BleuStatistics> system,
                                                     const ResamplingOptions& options) {
  return Randomize<BleuMetric>(baseline, system, options);
}
std::optional<PairedScores> ApproximateRandomization(std::span<const ChrfStatistics> baseline,
                                                     std::span<const ChrfStatistics> system,
                                                     const ResamplingOptions& options) {
  return Randomize<ChrfMetric>(baseline, system, options);
}
std::optional<PairedScores> ApproximateRandomization(SentenceScores baseline, SentenceScores system,
                                                     const ResamplingOptions& options) {
  return Randomize<MeanMetric>(baseline, system, options);
}

std::optional<Interval> BootstrapInterval(std::span<const BleuStatistics> system, const ResamplingOptions& options) {
  return OneInterval<BleuMetric>(system, options);
}
std::optional<Interval> BootstrapInterval(std::span<const ChrfStatistics> system, const ResamplingOptions& options) {
  return OneInterval<ChrfMetric>(system, options);
}
std::optional<Interval> BootstrapInterval(SentenceScores system, const ResamplingOptions& options) {
  return OneInterval<MeanMetric>(system, options);
}

}  // namespace petit::metrics
