// BLEU (Papineni et al. 2002) with the figures of sacreBLEU 2.6.0: tokenizer 13a, exponential smoothing, mixed case.
#ifndef PETIT_CLIENT_METRICS_BLEU_H_
#define PETIT_CLIENT_METRICS_BLEU_H_

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace petit::metrics {

inline constexpr int kBleuOrders = 6;  // room for; the usual maximum order is 4

struct BleuOptions {
  int max_order = 4;  // 1 to kBleuOrders, others are brought into that range
  // Divide by the highest order that the hypothesis is long enough for: for single sentences.
  bool effective_order = false;
};

// What BLEU is made of; sums over sentences give the corpus.
struct BleuStatistics {
  std::int64_t hypothesis_length = 0;               // tokens
  std::int64_t reference_length = 0;                // tokens of the closest reference, ties to the shorter
  std::array<std::int64_t, kBleuOrders> correct{};  // n-grams also in a reference, clipped; by order - 1
  std::array<std::int64_t, kBleuOrders> total{};    // n-grams of the hypothesis

  BleuStatistics& operator+=(const BleuStatistics& other);
};

struct BleuScore {
  double score = 0.0;                            // 0 to 100; a perfect one is 100.00000000000004
  std::array<double, kBleuOrders> precisions{};  // percent, smoothed
  double brevity_penalty = 0.0;
  BleuStatistics statistics;
};

// mteval-v13a's tokens of a line.
[[nodiscard]] std::vector<std::string> Tokenize13a(std::string_view line);

// `references` must not be empty; texts are UTF-8.
[[nodiscard]] BleuStatistics ComputeBleuStatistics(std::string_view hypothesis, std::span<const std::string> references,
                                                   int max_order = 4);
[[nodiscard]] BleuScore ComputeBleu(const BleuStatistics& statistics, const BleuOptions& options = {});

// Of one sentence, with effective order, as sacreBLEU's sentence_bleu.
[[nodiscard]] BleuScore SentenceBleu(std::string_view hypothesis, std::span<const std::string> references);

// Corpus BLEU, a pair at a time.
class Bleu {
 public:
  explicit Bleu(const BleuOptions& options = {}) : options_(options) {}

  void AddPair(std::string_view hypothesis, std::string_view reference);
  void Add(std::string_view hypothesis, std::span<const std::string> references);
  void Add(const BleuStatistics& statistics, int references = 1);

  [[nodiscard]] BleuScore Score() const { return ComputeBleu(sum_, options_); }
  // sacreBLEU's, without its version: nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp
  [[nodiscard]] std::string Signature() const;

 private:
  BleuOptions options_;
  BleuStatistics sum_;
  int fewest_references_ = 0;
  int most_references_ = 0;
};

}  // namespace petit::metrics

#endif  // PETIT_CLIENT_METRICS_BLEU_H_
