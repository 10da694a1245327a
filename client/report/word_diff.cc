#include "client/report/word_diff.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

namespace petit::report {
namespace {

constexpr std::size_t kMaxPairs = 4'000'000;

bool IsPunctuation(char c) { return std::string_view(".,;:!?()[]{}\"").find(c) != std::string_view::npos; }

// The code point at `at` and its length in bytes; the text is valid UTF-8.
std::pair<std::uint32_t, std::size_t> CodePoint(const std::string& text, std::size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  std::uint32_t value = length == 1 ? lead : lead & (0x7FU >> length);
  for (std::size_t i = 1; i < length && at + i < text.size(); ++i) {
    value = value << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3FU);
  }
  return {value, length};
}

// Bytes of the white space that is at `at`, such as French puts before a colon (U+00A0, U+202F); 0: none.
std::size_t SpaceAt(const std::string& text, std::size_t at) {
  const auto [c, length] = CodePoint(text, at);
  const bool is_space = c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xA0 || c == 0x1680 ||
                        (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
                        c == 0x3000;
  return is_space ? length : 0;
}

// Scripts that are written without spaces between words.
bool IsUnspaced(std::uint32_t c) {
  return (c >= 0x3040 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x4E00 && c <= 0x9FFF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x3FFFF) || (c >= 0x3001 && c <= 0x303F);
}

std::string_view Bare(const std::string& word) {
  std::size_t at = 0;
  while (at < word.size()) {
    const std::size_t space = SpaceAt(word, at);
    if (space == 0) break;
    at += space;
  }
  return std::string_view(word).substr(std::min(at, word.size()));
}

bool Same(const std::string& a, const std::string& b) { return Bare(a) == Bare(b); }

// Splits a run without white space.
void SplitRun(const std::string& run, std::string space, std::vector<std::string>& words) {
  const auto put = [&](std::string word) {
    words.push_back(space + std::move(word));
    space.clear();
  };
  std::size_t begin = 0;
  std::size_t end = run.size();
  while (begin < end && IsPunctuation(run[begin])) put(run.substr(begin++, 1));
  while (end > begin && IsPunctuation(run[end - 1])) --end;
  std::string word;
  for (std::size_t at = begin; at < end;) {
    const auto [c, length] = CodePoint(run, at);
    if (IsUnspaced(c)) {
      if (!word.empty()) put(std::exchange(word, ""));
      put(run.substr(at, length));
    } else {
      word += run.substr(at, length);
    }
    at += length;
  }
  if (!word.empty()) put(std::move(word));
  for (std::size_t at = end; at < run.size(); ++at) put(run.substr(at, 1));
}

void Append(std::vector<DiffPart>& parts, Span span, const std::string& word) {
  if (parts.empty() || parts.back().span != span) parts.push_back({span, ""});
  parts.back().text += word;
}

using Words = std::vector<std::string>;

// Between `first` words from the beginning and `last` from the end, which are equal.
void DiffMiddle(const Words& hypothesis, const Words& reference, std::size_t first, std::size_t last,
                std::vector<DiffPart>& parts) {
  const std::size_t rows = hypothesis.size() - first - last;
  const std::size_t columns = reference.size() - first - last;
  // length[i][j]: of the longest common subsequence of what follows i and j.
  std::vector<std::uint32_t> length;
  const std::size_t width = columns + 1;
  const bool align = rows * columns <= kMaxPairs;
  if (align) {
    length.assign((rows + 1) * width, 0);
    for (std::size_t i = rows; i-- > 0;) {
      for (std::size_t j = columns; j-- > 0;) {
        length[i * width + j] = Same(hypothesis[first + i], reference[first + j])
                                    ? length[(i + 1) * width + j + 1] + 1
                                    : std::max(length[(i + 1) * width + j], length[i * width + j + 1]);
      }
    }
  }
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < rows || j < columns) {
    if (align && i < rows && j < columns && Same(hypothesis[first + i], reference[first + j])) {
      Append(parts, Span::kSame, hypothesis[first + i]);
      ++i;
      ++j;
    } else if (j == columns || (i < rows && (!align || length[(i + 1) * width + j] >= length[i * width + j + 1]))) {
      Append(parts, Span::kExtra, hypothesis[first + i]);
      ++i;
    } else {
      Append(parts, Span::kMissing, reference[first + j]);
      ++j;
    }
  }
}

}  // namespace

std::vector<std::string> SplitWords(const std::string& text) {
  std::vector<std::string> words;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t start = at;
    while (at < text.size() && SpaceAt(text, at) > 0) at += SpaceAt(text, at);
    if (at >= text.size()) break;
    const std::size_t run = at;
    while (at < text.size() && SpaceAt(text, at) == 0) at += CodePoint(text, at).second;
    SplitRun(text.substr(run, at - run), text.substr(start, run - start), words);
  }
  return words;
}

std::vector<DiffPart> DiffWords(const std::string& hypothesis, const std::string& reference) {
  const Words ours = SplitWords(hypothesis);
  const Words theirs = SplitWords(reference);
  const std::size_t shorter = std::min(ours.size(), theirs.size());
  std::size_t first = 0;
  while (first < shorter && Same(ours[first], theirs[first])) ++first;
  std::size_t last = 0;
  while (last < shorter - first && Same(ours[ours.size() - 1 - last], theirs[theirs.size() - 1 - last])) ++last;
  std::vector<DiffPart> parts;
  for (std::size_t i = 0; i < first; ++i) Append(parts, Span::kSame, ours[i]);
  DiffMiddle(ours, theirs, first, last, parts);
  for (std::size_t i = ours.size() - last; i < ours.size(); ++i) Append(parts, Span::kSame, ours[i]);
  return parts;
}

}  // namespace petit::report
