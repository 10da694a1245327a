// chrF2 (Popovic 2015) with the figures of sacreBLEU 2.6.0: character n-grams 1 to 6, no word n-grams, beta 2, white
// space left out, mixed case, effective order.
#ifndef PETIT_CLIENT_METRICS_CHRF_H_
#define PETIT_CLIENT_METRICS_CHRF_H_

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace petit::metrics {

inline constexpr int kChrfOrders = 6;

// n-gram counts by order - 1; sums over sentences give the corpus.
struct ChrfStatistics {
  std::array<std::int64_t, kChrfOrders> hypothesis{};  // only where the reference has n-grams of that order
  std::array<std::int64_t, kChrfOrders> reference{};
  std::array<std::int64_t, kChrfOrders> match{};

  ChrfStatistics& operator+=(const ChrfStatistics& other);
};

// Of the reference with the best score, the first of equals; `references` must not be empty; texts are UTF-8.
[[nodiscard]] ChrfStatistics ComputeChrfStatistics(std::string_view hypothesis, std::span<const std::string> references,
                                                   int beta = 2);
// 0 to 100.
[[nodiscard]] double ComputeChrf(const ChrfStatistics& statistics, int beta = 2);
[[nodiscard]] double SentenceChrf(std::string_view hypothesis, std::span<const std::string> references, int beta = 2);

// Corpus chrF, a pair at a time.
class Chrf {
 public:
  explicit Chrf(int beta = 2) : beta_(beta) {}

  void AddPair(std::string_view hypothesis, std::string_view reference);
  void Add(std::string_view hypothesis, std::span<const std::string> references);
  void Add(const ChrfStatistics& statistics, int references = 1);

  [[nodiscard]] double Score() const { return ComputeChrf(sum_, beta_); }
  // sacreBLEU's, without its version: nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no
  [[nodiscard]] std::string Signature() const;

 private:
  int beta_;
  ChrfStatistics sum_;
  int fewest_references_ = 0;
  int most_references_ = 0;
};

}  // namespace petit::metrics

#endif  // PETIT_CLIENT_METRICS_CHRF_H_
