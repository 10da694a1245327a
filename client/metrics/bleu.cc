#include "client/metrics/bleu.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <unordered_map>
#include <utility>

#include "client/metrics/text.h"

namespace petit::metrics {
namespace {

using Gram = std::array<std::uint32_t, kBleuOrders>;  // 1 + word, 0 where shorter

struct GramHash {
  std::size_t operator()(const Gram& gram) const {
    std::uint64_t hash = 1469598103934665603ULL;
    for (const std::uint32_t word : gram) hash = (hash ^ word) * 1099511628211ULL;
    return hash ^ hash >> 32;
  }
};

using Counts = std::unordered_map<Gram, std::int64_t, GramHash>;
using WordIds = std::unordered_map<std::string, std::uint32_t>;

void ReplaceAll(std::string* text, std::string_view from, std::string_view to) {
  for (std::size_t at = text->find(from); at != std::string::npos; at = text->find(from, at + to.size())) {
    text->replace(at, from.size(), to);
  }
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsStop(char c) { return c == '.' || c == ','; }

// ASCII punctuation and the space, but not ' , - . which have rules of their own.
bool IsSymbol(char c) {
  return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') ||
         (c >= ':' && c <= '@') || c == '/';
}

// The rules match bytes: what they look for is ASCII, and a byte of another character is only ever "not a digit".
std::string SpaceSymbols(std::string_view line) {
  std::string out;
  for (const char c : line) {
    if (IsSymbol(c)) {
      out += ' ';
      out += c;
      out += ' ';
    } else {
      out += c;
    }
  }
  return out;
}

// Two characters, of which `first` and `second` say whether they match, become `make` of them; without overlap.
template <typename First, typename Second, typename Make>
std::string ReplacePairs(std::string_view line, First first, Second second, Make make) {
  std::string out;
  std::size_t i = 0;
  while (i < line.size()) {
    if (i + 1 < line.size() && first(line[i]) && second(line[i + 1])) {
      make(line[i], line[i + 1], &out);
      i += 2;
    } else {
      out += line[i++];
    }
  }
  return out;
}

std::vector<std::uint32_t> ToIds(const std::vector<std::string>& words, WordIds* ids) {
  std::vector<std::uint32_t> out;
  out.reserve(words.size());
  for (const std::string& word : words) {
    out.push_back(ids->emplace(word, static_cast<std::uint32_t>(ids->size() + 1)).first->second);
  }
  return out;
}

Counts CountGrams(const std::vector<std::uint32_t>& words, int max_order) {
  Counts counts;
  for (std::size_t begin = 0; begin < words.size(); ++begin) {
    Gram gram{};
    for (std::size_t n = 0; n < static_cast<std::size_t>(max_order) && begin + n < words.size(); ++n) {
      gram[n] = words[begin + n];
      ++counts[gram];
    }
  }
  return counts;
}

int Order(const Gram& gram) { return static_cast<int>(std::find(gram.begin(), gram.end(), 0U) - gram.begin()); }

int ClampOrder(int max_order) { return std::clamp(max_order, 1, kBleuOrders); }

}  // namespace

BleuStatistics& BleuStatistics::operator+=(const BleuStatistics& other) {
  hypothesis_length += other.hypothesis_length;
  reference_length += other.reference_length;
  for (int n = 0; n < kBleuOrders; ++n) {
    correct[n] += other.correct[n];
    total[n] += other.total[n];
  }
  return *this;
}

std::vector<std::string> Tokenize13a(std::string_view line) {
  std::string text(StripRight(line));
  ReplaceAll(&text, "<skipped>", "");
  ReplaceAll(&text, "-\n", "");
  ReplaceAll(&text, "\n", " ");
  ReplaceAll(&text, "&quot;", "\"");
  ReplaceAll(&text, "&amp;", "&");
  ReplaceAll(&text, "&lt;", "<");
  ReplaceAll(&text, "&gt;", ">");
  text = SpaceSymbols(" " + text + " ");
  const auto not_digit = [](char c) { return !IsDigit(c); };
  text = ReplacePairs(text, not_digit, IsStop, [](char a, char b, std::string* out) { *out += {a, ' ', b, ' '}; });
  text = ReplacePairs(text, IsStop, not_digit, [](char a, char b, std::string* out) { *out += {' ', a, ' ', b}; });
  text = ReplacePairs(
      text, IsDigit, [](char c) { return c == '-'; },
      [](char a, char b, std::string* out) {
        *out += {a, ' ', b, ' '};
      });
  std::vector<std::string> words;
  for (const std::string_view word : SplitSpace(text)) words.emplace_back(word);
  return words;
}

BleuStatistics ComputeBleuStatistics(std::string_view hypothesis, std::span<const std::string> references,
                                     int max_order) {
  max_order = ClampOrder(max_order);
  WordIds ids;
  const std::vector<std::uint32_t> words = ToIds(Tokenize13a(hypothesis), &ids);
  const auto length = static_cast<std::int64_t>(words.size());
  BleuStatistics statistics;
  statistics.hypothesis_length = length;

  Counts clip;
  std::int64_t closest = -1;
  for (const std::string& reference : references) {
    const std::vector<std::uint32_t> reference_words = ToIds(Tokenize13a(reference), &ids);
    const auto reference_length = static_cast<std::int64_t>(reference_words.size());
    const std::int64_t distance = std::abs(length - reference_length);
    if (closest < 0 || distance < closest || (distance == closest && reference_length < statistics.reference_length)) {
      closest = distance;
      statistics.reference_length = reference_length;
    }
    for (const auto& [gram, count] : CountGrams(reference_words, max_order)) {
      std::int64_t& most = clip[gram];
      most = std::max(most, count);
    }
  }
  for (const auto& [gram, count] : CountGrams(words, max_order)) {
    const int n = Order(gram) - 1;
    statistics.total[n] += count;
    const auto found = clip.find(gram);
    if (found != clip.end()) statistics.correct[n] += std::min(count, found->second);
  }
  return statistics;
}

BleuScore ComputeBleu(const BleuStatistics& statistics, const BleuOptions& options) {
  const int max_order = ClampOrder(options.max_order);
  BleuScore result;
  result.statistics = statistics;
  const auto hypothesis = static_cast<double>(statistics.hypothesis_length);
  const auto reference = static_cast<double>(statistics.reference_length);
  result.brevity_penalty = 1.0;
  if (hypothesis < reference) result.brevity_penalty = hypothesis > 0 ? std::exp(1 - reference / hypothesis) : 0.0;
  const auto* const end = statistics.correct.begin() + max_order;
  if (std::all_of(statistics.correct.begin(), end, [](std::int64_t count) { return count == 0; })) return result;

  double smooth = 1.0;
  int order = max_order;
  for (int n = 0; n < max_order && statistics.total[n] > 0; ++n) {
    if (options.effective_order) order = n + 1;
    const auto total = static_cast<double>(statistics.total[n]);
    if (statistics.correct[n] == 0) {
      smooth *= 2;
      result.precisions[n] = 100.0 / (smooth * total);
    } else {
      result.precisions[n] = 100.0 * static_cast<double>(statistics.correct[n]) / total;
    }
  }
  constexpr double kLogOfZero = -9999999999.0;
  double sum = 0.0;
  for (int n = 0; n < order; ++n) sum += result.precisions[n] == 0.0 ? kLogOfZero : std::log(result.precisions[n]);
  result.score = result.brevity_penalty * std::exp(sum / order);
  return result;
}

BleuScore SentenceBleu(std::string_view hypothesis, std::span<const std::string> references) {
  return ComputeBleu(ComputeBleuStatistics(hypothesis, references), {.effective_order = true});
}

void Bleu::AddPair(std::string_view hypothesis, std::string_view reference) {
  const std::string references[] = {std::string(reference)};
  Add(hypothesis, references);
}

void Bleu::Add(std::string_view hypothesis, std::span<const std::string> references) {
  Add(ComputeBleuStatistics(hypothesis, references, options_.max_order), static_cast<int>(references.size()));
}

void Bleu::Add(const BleuStatistics& statistics, int references) {
  sum_ += statistics;
  fewest_references_ = fewest_references_ == 0 ? references : std::min(fewest_references_, references);
  most_references_ = std::max(most_references_, references);
}

std::string Bleu::Signature() const {
  // Where sentences have different numbers of references, sacreBLEU says so without a number.
  const std::string references =
      fewest_references_ == most_references_ ? std::to_string(std::max(1, most_references_)) : "var";
  return "nrefs:" + references + "|case:mixed|eff:" + (options_.effective_order ? "yes" : "no") + "|tok:13a|smooth:exp";
}

}  // namespace petit::metrics
