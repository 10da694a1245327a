#include "client/data/descriptions.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <unordered_set>
#include <utility>

namespace petit::data {
namespace {

constexpr std::string_view kBlanks = " \t\r\n\v\f";

std::string_view Trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// The no-break spaces of French stay.
std::string SingleSpaces(std::string_view text) {
  std::string out;
  for (const char c : Trim(text)) {
    if (kBlanks.find(c) == std::string_view::npos) {
      out += c;
    } else if (out.back() != ' ') {
      out += ' ';
    }
  }
  return out;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Bytes of the bullet and the blanks behind it, or 0 where `text` (without indent) does not begin with one.
std::size_t BulletLength(std::string_view text) {
  constexpr std::array<std::string_view, 8> kBullets = {
      "-", "*", "+", "o", "\xe2\x80\xa2", "\xc2\xb7", "\xe2\x80\x93", "\xe2\x80\x94"};
  std::size_t length = 0;
  for (const std::string_view bullet : kBullets) {
    if (text.starts_with(bullet)) length = bullet.size();
  }
  if (length == 0) {
    while (length < text.size() && IsDigit(text[length])) ++length;
    if (length == 0 || length == text.size() || (text[length] != '.' && text[length] != ')')) return 0;
    ++length;
  }
  const std::size_t blanks = text.substr(length).find_first_not_of(kBlanks);
  return blanks == std::string_view::npos || blanks == 0 ? 0 : length + blanks;
}

enum class ItemKind { kText, kBullet, kLine };

struct Item {
  ItemKind kind;
  std::string text;
};

using Paragraph = std::vector<Item>;

void AddLine(std::string_view line, Paragraph* paragraph) {
  const bool indented = line.starts_with(' ') || line.starts_with('\t');
  const std::string_view text = Trim(line);
  if (const std::size_t bullet = BulletLength(text); bullet > 0) {
    paragraph->push_back({ItemKind::kBullet, std::string(text.substr(bullet))});
    return;
  }
  if (!paragraph->empty()) {
    Item& last = paragraph->back();
    const bool continues = indented ? last.kind == ItemKind::kBullet : last.kind == ItemKind::kText;
    if (continues) {
      last.text += ' ';
      last.text += text;
      return;
    }
  }
  // The format sets an indented line verbatim.
  paragraph->push_back({indented ? ItemKind::kLine : ItemKind::kText, std::string(text)});
}

std::vector<Paragraph> Paragraphs(const Description& description) {
  std::vector<Paragraph> paragraphs(1);
  for (const std::string& line : description.lines) {
    const std::string_view text = Trim(line);
    if (text.empty() || text == ".") {
      if (!paragraphs.back().empty()) paragraphs.emplace_back();
    } else {
      AddLine(line, &paragraphs.back());
    }
  }
  if (paragraphs.back().empty()) paragraphs.pop_back();
  return paragraphs;
}

bool StartsSentence(std::string_view text) {
  constexpr std::array<std::string_view, 7> kOpeners = {"\"",        "'",        "(",           "\xc2\xab\xc2\xa0",
                                                        "\xc2\xab ", "\xc2\xab", "\xe2\x80\x9c"};
  for (const std::string_view opener : kOpeners) {
    if (text.starts_with(opener)) {
      text.remove_prefix(opener.size());
      break;
    }
  }
  if (text.empty()) return false;
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return (first >= 'A' && first <= 'Z') || IsDigit(text[0]);
  if (first >= 0xE3 && first <= 0xED) return true;  // kana, ideographs, Hangul: no capitals there
  if (text.size() < 2) return false;
  const auto second = static_cast<unsigned char>(text[1]);
  // The capitals of Latin-1 (without the multiplication sign) and OE.
  return (first == 0xC3 && second >= 0x80 && second <= 0x9E && second != 0x97) || (first == 0xC5 && second == 0x92);
}

bool IsAbbreviation(std::string_view text) {
  constexpr std::array<std::string_view, 18> kAbbreviations = {
      "e.g.", "i.e.",  "etc.",    "p.",    "ex.", "p.ex.", "cf.",    "vs.", "c.-\xc3\xa0-d.",
      "Dr.",  "a.k.a", "approx.", "resp.", "al.", "no.",   "a.k.a.", "St.", "incl."};
  const std::size_t blank = text.find_last_of(" (");
  const std::string_view word = blank == std::string_view::npos ? text : text.substr(blank + 1);
  return std::find(kAbbreviations.begin(), kAbbreviations.end(), word) != kAbbreviations.end();
}

// The end of the sentence end that starts at `at` (a stop and what closes with it), which must precede a space.
std::size_t AfterStop(std::string_view text, std::size_t at) {
  constexpr std::array<std::string_view, 6> kClosers = {")", "\"", "'", "\xc2\xbb", "\xe2\x80\x9d", "\xe2\x80\x99"};
  at = std::min(text.find_first_not_of(".!?", at), text.size());
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view closer : kClosers) {
      if (!text.substr(at).starts_with(closer)) continue;
      at += closer.size();
      again = true;
    }
  }
  return at;
}

std::size_t Characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

bool IsPair(std::string_view source, std::string_view target) {
  if (source.empty() || target.empty() || source == target) return false;
  const auto is_letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
  if (std::none_of(source.begin(), source.end(), is_letter)) return false;
  // Korean takes a third of the characters of English.
  const std::size_t longer = std::max(Characters(source), Characters(target));
  const std::size_t shorter = std::min(Characters(source), Characters(target));
  return longer <= 40 || longer <= 4 * shorter;
}

void AddPair(std::string_view source, std::string_view target, std::vector<TextPair>* pairs) {
  TextPair pair = {SingleSpaces(source), SingleSpaces(target)};
  if (IsPair(pair.source, pair.target)) pairs->push_back(std::move(pair));
}

}  // namespace

std::vector<Description> ReadDescriptions(std::istream& stream, std::string_view language) {
  const std::string synopsis_field = "Description-" + std::string(language) + ":";
  constexpr std::string_view kDigestField = "Description-md5:";
  std::vector<Description> descriptions;
  std::unordered_set<std::string> seen;
  Description current;
  bool in_body = false;
  const auto finish = [&] {
    if (!current.md5.empty() && !current.synopsis.empty() && seen.insert(current.md5).second) {
      descriptions.push_back(std::move(current));
    }
    current = {};
    in_body = false;
  };
  for (std::string line; std::getline(stream, line);) {
    const std::string_view view = line;
    if (Trim(view).empty()) {
      finish();
    } else if (view.starts_with(' ') || view.starts_with('\t')) {
      if (in_body) current.lines.emplace_back(view.substr(1));
    } else if (view.starts_with(kDigestField)) {
      current.md5 = Trim(view.substr(kDigestField.size()));
      in_body = false;
    } else if (view.starts_with(synopsis_field)) {
      current.synopsis = Trim(view.substr(synopsis_field.size()));
      in_body = true;
    } else {
      in_body = false;
    }
  }
  finish();
  return descriptions;
}

std::vector<std::string> SplitSentences(std::string_view text) {
  std::vector<std::string> sentences;
  std::size_t begin = 0;
  std::size_t at = text.find_first_of(".!?");
  while (at != std::string_view::npos) {
    const std::size_t end = AfterStop(text, at);
    const std::size_t next = text.find_first_not_of(' ', end);
    if (next != std::string_view::npos && next > end && StartsSentence(text.substr(next)) &&
        !IsAbbreviation(text.substr(begin, end - begin))) {
      sentences.emplace_back(text.substr(begin, end - begin));
      begin = next;
    }
    at = text.find_first_of(".!?", end);
  }
  if (begin < text.size()) sentences.emplace_back(text.substr(begin));
  return sentences;
}

std::vector<TextPair> PairDescriptions(const Description& source, const Description& target) {
  std::vector<TextPair> pairs;
  AddPair(source.synopsis, target.synopsis, &pairs);
  const std::vector<Paragraph> left = Paragraphs(source);
  const std::vector<Paragraph> right = Paragraphs(target);
  if (left.size() != right.size()) return pairs;
  for (std::size_t p = 0; p < left.size(); ++p) {
    if (left[p].size() != right[p].size()) continue;
    for (std::size_t i = 0; i < left[p].size(); ++i) {
      const std::string source_text = SingleSpaces(left[p][i].text);
      const std::string target_text = SingleSpaces(right[p][i].text);
      const std::vector<std::string> sources = SplitSentences(source_text);
      const std::vector<std::string> targets = SplitSentences(target_text);
      if (sources.size() != targets.size()) {
        AddPair(source_text, target_text, &pairs);
        continue;
      }
      for (std::size_t s = 0; s < sources.size(); ++s) AddPair(sources[s], targets[s], &pairs);
    }
  }
  return pairs;
}

}  // namespace petit::data
