// ROUGE-L F1 (Lin 2004): the longest common subsequence of two texts' words.
#ifndef PETIT_CLIENT_METRICS_ROUGE_H_
#define PETIT_CLIENT_METRICS_ROUGE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace petit::metrics {

enum class RougeWords {
  // As rouge_score 0.1.2 without stemmer: lower case, runs of a-z and 0-9. An accented letter parts words, so that
  // two words that differ in their accents alone are equal.
  kAscii,
  // Runs of Unicode letters, marks and numbers in lower case; no normalization.
  kUnicode,
};

struct RougeScore {
  double precision = 0.0;  // 0 to 1, as the others
  double recall = 0.0;
  double f1 = 0.0;  // 0 if either side has no words
};

[[nodiscard]] std::vector<std::u32string> RougeTokens(std::string_view text, RougeWords words);

[[nodiscard]] RougeScore SentenceRougeL(std::string_view hypothesis, std::string_view reference, RougeWords words);

// The plain mean of the sentences' figures, a pair at a time.
class RougeL {
 public:
  explicit RougeL(RougeWords words) : words_(words) {}

  // Returns the pair's own score.
  RougeScore AddPair(std::string_view hypothesis, std::string_view reference);

  // Zeros where there is no pair.
  [[nodiscard]] RougeScore Score() const;
  // rougeL|words:ascii or rougeL|words:unicode
  [[nodiscard]] std::string Signature() const;

 private:
  RougeWords words_;
  RougeScore sum_;
  std::int64_t pairs_ = 0;
};

}  // namespace petit::metrics

#endif  // PETIT_CLIENT_METRICS_ROUGE_H_
