#include "client/cli/quality.h"

namespace petit::cli {

void QualityMeter::Add(std::string_view hypothesis, std::string_view reference) {
  bleu_.AddPair(hypothesis, reference);
  chrf_.AddPair(hypothesis, reference);
  rouge_l_.AddPair(hypothesis, reference);
  rouge_l_unicode_.AddPair(hypothesis, reference);
}

Quality QualityMeter::Compute() const {
  const metrics::BleuScore bleu = bleu_.Score();
  const auto reference_length = static_cast<double>(bleu.statistics.reference_length);
  return {.bleu = bleu.score,
          .chrf = chrf_.Score(),
          .rouge_l = 100 * rouge_l_.Score().f1,
          .rouge_l_unicode = 100 * rouge_l_unicode_.Score().f1,
          .length_ratio =
              reference_length > 0 ? static_cast<double>(bleu.statistics.hypothesis_length) / reference_length : 0};
}

QualitySignatures QualityMeter::Signatures() {
  QualityMeter meter;
  meter.Add("a", "a");
  return {.bleu = meter.bleu_.Signature(),
          .chrf = meter.chrf_.Signature(),
          .rouge_l = meter.rouge_l_.Signature(),
          .rouge_l_unicode = meter.rouge_l_unicode_.Signature()};
}

}  // namespace petit::cli
