#include "client/metrics/rouge.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "client/metrics/text.h"

namespace petit::metrics {
namespace {

bool IsAsciiWord(char32_t code) { return (code >= U'a' && code <= U'z') || (code >= U'0' && code <= U'9'); }

std::size_t LongestCommonSubsequence(const std::vector<std::u32string>& a, const std::vector<std::u32string>& b) {
  // row[j]: of the words of `a` so far and the first j of `b`.
  std::vector<std::size_t> row(b.size() + 1, 0);
  for (const std::u32string& word : a) {
    std::size_t diagonal = 0;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = word == b[j] ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::vector<std::u32string> RougeTokens(std::string_view text, RougeWords words) {
  std::vector<std::u32string> tokens;
  std::u32string token;
  for (const char32_t code : Lower(DecodeUtf8(text))) {
    if (words == RougeWords::kAscii ? IsAsciiWord(code) : IsWord(code)) {
      token.push_back(code);
    } else if (!token.empty()) {
      tokens.push_back(std::move(token));
      token.clear();
    }
  }
  if (!token.empty()) tokens.push_back(std::move(token));
  return tokens;
}

RougeScore SentenceRougeL(std::string_view hypothesis, std::string_view reference, RougeWords words) {
  const std::vector<std::u32string> left = RougeTokens(hypothesis, words);
  const std::vector<std::u32string> right = RougeTokens(reference, words);
  if (left.empty() || right.empty()) return {};
  const auto common = static_cast<double>(LongestCommonSubsequence(left, right));
  RougeScore score;
  score.precision = common / static_cast<double>(left.size());
  score.recall = common / static_cast<double>(right.size());
  const double sum = score.precision + score.recall;
  if (sum > 0) score.f1 = 2 * score.precision * score.recall / sum;
  return score;
}

RougeScore RougeL::AddPair(std::string_view hypothesis, std::string_view reference) {
  const RougeScore score = SentenceRougeL(hypothesis, reference, words_);
  sum_.precision += score.precision;
  sum_.recall += score.recall;
  sum_.f1 += score.f1;
  ++pairs_;
  return score;
}

RougeScore RougeL::Score() const {
  if (pairs_ == 0) return {};
  const auto pairs = static_cast<double>(pairs_);
  return {.precision = sum_.precision / pairs, .recall = sum_.recall / pairs, .f1 = sum_.f1 / pairs};
}

std::string RougeL::Signature() const {
  return words_ == RougeWords::kAscii ? "rougeL|words:ascii" : "rougeL|words:unicode";
}

}  // namespace petit::metrics
