#include "client/load/corpus.h"

#include <memory>
#include <optional>
#include <random>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "client/data/input_file.h"
#include "client/data/line_reader.h"
#include "client/data/pair_reader.h"
#include "client/data/text.h"
#include "client/load/schedule.h"

namespace petit::load {
namespace {

constexpr std::size_t kSyntheticTexts = 1000;
constexpr int kMostWords = 1000;

constexpr const char* kWords[] = {
    "the",      "package",  "contains", "files",  "for",     "a",         "library",  "that",     "reads",
    "and",      "writes",   "many",     "kinds",  "of",      "images",    "with",     "small",    "programs",
    "which",    "can",      "be",       "used",   "from",    "other",     "tools",    "on",       "any",
    "system",   "without",  "much",     "memory", "it",      "also",      "provides", "an",       "example",
    "to",       "show",     "how",      "its",    "parts",   "work",      "together", "when",     "there",
    "is",       "no",       "network",  "or",     "user",    "data",      "must",     "not",      "change",
    "between",  "two",      "runs",     "in",     "one",     "language",  "another",  "document", "explains",
    "each",     "function", "as",       "well",   "simple",  "interface", "server",   "this",     "version",
    "supports", "new",      "formats",  "by",     "default", "text",      "mode",     "under"};

struct Lengths {
  int least = 0;
  int most = 0;
};

absl::Status WrongLengths(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("'", text, "' is no list of lengths; numbers of words from 1 to ",
                                                 kMostWords, " are wanted, as 8,16,32 or 5-60"));
}

absl::StatusOr<std::vector<Lengths>> ParseLengths(absl::string_view text) {
  std::vector<Lengths> list;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> ends = absl::StrSplit(part, absl::MaxSplits('-', 1));
    Lengths lengths;
    if (!absl::SimpleAtoi(ends.first, &lengths.least)) return WrongLengths(text);
    lengths.most = lengths.least;
    if (absl::StrContains(part, "-") && !absl::SimpleAtoi(ends.second, &lengths.most)) return WrongLengths(text);
    if (lengths.least < 1 || lengths.most < lengths.least || lengths.most > kMostWords) return WrongLengths(text);
    list.push_back(lengths);
  }
  return list;
}

bool HoldsPairs(absl::string_view path) {
  for (const char* suffix : {".gz", ".xz", ".zst"}) {
    if (absl::ConsumeSuffix(&path, suffix)) break;
  }
  for (const char* suffix : {".tsv", ".jsonl", ".ndjson", ".json"}) {
    if (absl::EndsWith(path, suffix)) return true;
  }
  return false;
}

absl::StatusOr<std::vector<std::string>> ReadPairs(const data::PairFiles& files, int interrupt_fd) {
  absl::StatusOr<data::PairReader> reader = data::PairReader::Open(files, interrupt_fd);
  if (!reader.ok()) return reader.status();
  std::vector<std::string> texts;
  while (texts.size() < Corpus::kMaxTexts) {
    absl::StatusOr<std::optional<data::Pair>> pair = reader->Next();
    if (!pair.ok()) return pair.status();
    if (!*pair) break;
    if ((*pair)->problem.ok()) texts.push_back(std::move((*pair)->source));
  }
  return texts;
}

absl::StatusOr<std::vector<std::string>> ReadLines(const std::string& path, int interrupt_fd) {
  const auto file = data::InputFile::Open(path, {.interrupt_fd = interrupt_fd});
  if (!file.ok()) return file.status();
  data::LineReader lines([&file] { return (*file)->Read(); });
  std::vector<std::string> texts;
  while (texts.size() < Corpus::kMaxTexts) {
    absl::StatusOr<std::optional<data::Line>> line = lines.Next();
    if (!line.ok()) return line.status();
    if (!*line) break;
    const bool usable =
        !(*line)->too_long && !data::IsBlank((*line)->text) && !data::FindInvalidUtf8((*line)->text).has_value();
    if (usable) texts.push_back(std::move((*line)->text));
  }
  return texts;
}

}  // namespace

absl::StatusOr<Corpus> Corpus::OfFile(const std::string& path, const std::string& source_language,
                                      const std::string& target_language, int interrupt_fd) {
  absl::StatusOr<std::vector<std::string>> texts;
  if (HoldsPairs(path)) {
    data::PairFiles files;
    files.pairs = path;
    files.source_language = source_language;
    files.target_language = target_language;
    texts = ReadPairs(files, interrupt_fd);
  } else {
    texts = ReadLines(path, interrupt_fd);
  }
  if (!texts.ok()) return texts.status();
  if (texts->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " holds no text; a text a line is wanted, or pairs in a *.tsv or *.jsonl"));
  }
  std::string description = absl::StrCat(texts->size(), " texts of ", path);
  return Corpus(*std::move(texts), std::move(description));
}

absl::StatusOr<Corpus> Corpus::Synthetic(std::string_view lengths, std::uint64_t seed) {
  const absl::string_view asked(lengths.data(), lengths.size());
  const absl::StatusOr<std::vector<Lengths>> list = ParseLengths(asked);
  if (!list.ok()) return list.status();
  std::mt19937_64 random(seed);
  const auto draw = [&random](std::size_t count) {
    return static_cast<std::size_t>(Uniform(random) * static_cast<double>(count));
  };
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < kSyntheticTexts; ++i) {
    const Lengths& range = (*list)[i % list->size()];
    const std::size_t words = range.least + draw(static_cast<std::size_t>(range.most - range.least) + 1);
    std::string text;
    for (std::size_t word = 0; word < words; ++word) {
      absl::StrAppend(&text, word == 0 ? "" : " ", kWords[draw(std::size(kWords))]);
    }
    text += '.';
    texts.push_back(std::move(text));
  }
  return Corpus(std::move(texts), absl::StrCat(kSyntheticTexts, " synthetic texts of ", asked, " words"));
}

const std::string& Corpus::Next() {
  const std::string& text = texts_[next_];
  next_ = (next_ + 1) % texts_.size();
  return text;
}

}  // namespace petit::load
