// All figures of how good a model's translations are, gathered pair by pair.
#ifndef PETIT_CLIENT_CLI_QUALITY_H_
#define PETIT_CLIENT_CLI_QUALITY_H_

#include <string>
#include <string_view>

#include "client/metrics/bleu.h"
#include "client/metrics/chrf.h"
#include "client/metrics/rouge.h"

namespace petit::cli {

struct Quality {
  double bleu = 0;             // 0 to 100
  double chrf = 0;             // 0 to 100
  double rouge_l = 0;          // F1, 0 to 100; words of a-z and 0-9, as the rouge_score package has them
  double rouge_l_unicode = 0;  // F1, 0 to 100; words of Unicode letters and digits
  double length_ratio = 0;     // BLEU tokens of the hypotheses to those of the references
};

// What the figures were computed with.
struct QualitySignatures {
  std::string bleu;
  std::string chrf;
  std::string rouge_l;
  std::string rouge_l_unicode;
};

class QualityMeter {
 public:
  void Add(std::string_view hypothesis, std::string_view reference);
  [[nodiscard]] Quality Compute() const;
  // With one reference each.
  [[nodiscard]] static QualitySignatures Signatures();

 private:
  metrics::Bleu bleu_;
  metrics::Chrf chrf_;
  metrics::RougeL rouge_l_{metrics::RougeWords::kAscii};
  metrics::RougeL rouge_l_unicode_{metrics::RougeWords::kUnicode};
};

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_QUALITY_H_
