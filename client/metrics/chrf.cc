#include "client/metrics/chrf.h"

#include <algorithm>
#include <cstddef>
#include <unordered_map>

#include "client/metrics/text.h"

namespace petit::metrics {
namespace {

using Counts = std::unordered_map<std::u32string_view, std::int64_t>;

std::u32string WithoutSpace(std::string_view text) {
  std::u32string codes = DecodeUtf8(text);
  codes.erase(std::remove_if(codes.begin(), codes.end(), IsSpace), codes.end());
  return codes;
}

Counts CountGrams(std::u32string_view text, std::size_t order) {
  Counts counts;
  for (std::size_t i = 0; i + order <= text.size(); ++i) ++counts[text.substr(i, order)];
  return counts;
}

std::int64_t GramCount(std::u32string_view text, std::size_t order) {
  return text.size() < order ? 0 : static_cast<std::int64_t>(text.size() - order + 1);
}

ChrfStatistics ComparePair(std::u32string_view hypothesis, std::u32string_view reference) {
  ChrfStatistics statistics;
  for (std::size_t n = 0; n < kChrfOrders; ++n) {
    const std::size_t order = n + 1;
    statistics.reference[n] = GramCount(reference, order);
    if (statistics.reference[n] == 0) continue;
    statistics.hypothesis[n] = GramCount(hypothesis, order);
    const Counts counts = CountGrams(reference, order);
    for (const auto& [gram, count] : CountGrams(hypothesis, order)) {
      const auto found = counts.find(gram);
      if (found != counts.end()) statistics.match[n] += std::min(count, found->second);
    }
  }
  return statistics;
}

}  // namespace

ChrfStatistics& ChrfStatistics::operator+=(const ChrfStatistics& other) {
  for (int n = 0; n < kChrfOrders; ++n) {
    hypothesis[n] += other.hypothesis[n];
    reference[n] += other.reference[n];
    match[n] += other.match[n];
  }
  return *this;
}

ChrfStatistics ComputeChrfStatistics(std::string_view hypothesis, std::span<const std::string> references, int beta) {
  const std::u32string text = WithoutSpace(hypothesis);
  ChrfStatistics best;
  double best_score = -1.0;
  for (const std::string& reference : references) {
    const ChrfStatistics statistics = ComparePair(text, WithoutSpace(reference));
    const double score = ComputeChrf(statistics, beta);
    if (score > best_score) {
      best_score = score;
      best = statistics;
    }
  }
  return best;
}

double ComputeChrf(const ChrfStatistics& statistics, int beta) {
  double precision = 0.0;
  double recall = 0.0;
  int orders = 0;
  for (int n = 0; n < kChrfOrders; ++n) {
    if (statistics.hypothesis[n] == 0 || statistics.reference[n] == 0) continue;
    const auto match = static_cast<double>(statistics.match[n]);
    precision += match / static_cast<double>(statistics.hypothesis[n]);
    recall += match / static_cast<double>(statistics.reference[n]);
    ++orders;
  }
  if (orders == 0) return 0.0;
  precision /= orders;
  recall /= orders;
  if (precision + recall == 0.0) return 0.0;
  const double factor = static_cast<double>(beta) * beta;
  const double score = (1 + factor) * precision * recall / (factor * precision + recall);
  return 100 * score;
}

double SentenceChrf(std::string_view hypothesis, std::span<const std::string> references, int beta) {
  return ComputeChrf(ComputeChrfStatistics(hypothesis, references, beta), beta);
}

void Chrf::AddPair(std::string_view hypothesis, std::string_view reference) {
  const std::string references[] = {std::string(reference)};
  Add(hypothesis, references);
}

void Chrf::Add(std::string_view hypothesis, std::span<const std::string> references) {
  Add(ComputeChrfStatistics(hypothesis, references, beta_), static_cast<int>(references.size()));
}

void Chrf::Add(const ChrfStatistics& statistics, int references) {
  sum_ += statistics;
  fewest_references_ = fewest_references_ == 0 ? references : std::min(fewest_references_, references);
  most_references_ = std::max(most_references_, references);
}

std::string Chrf::Signature() const {
  const std::string references =
      fewest_references_ == most_references_ ? std::to_string(std::max(1, most_references_)) : "var";
  return "nrefs:" + references + "|case:mixed|eff:yes|nc:6|nw:0|space:no";
}

}  // namespace petit::metrics
