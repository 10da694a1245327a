#include "models/distill/text_data.h"

#include <cstdint>
#include <fstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "models/distill/functions.h"

namespace petit::distill {
namespace {

constexpr std::size_t kMaxLineBytes = std::size_t{1} << 20;

absl::Status LineError(const TextSet& set, std::int64_t line, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(set.path, ":", line, ": ", what));
}

}  // namespace

absl::StatusOr<std::vector<TextPair>> ReadPairs(const TextSet& set) {
  std::ifstream file(set.path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(set.path, ": cannot be read"));
  std::vector<TextPair> pairs;
  std::string line;
  for (std::int64_t number = 1; std::getline(file, line); ++number) {
    if (number <= set.skip) continue;
    if (set.take > 0 && static_cast<std::int64_t>(pairs.size()) == set.take) break;
    if (line.size() > kMaxLineBytes) return LineError(set, number, "a line of more than 1 MiB");
    if (tokenizer::FirstInvalidUtf8(line) >= 0) return LineError(set, number, "not UTF-8");
    const std::size_t tab = line.find('\t');
    if (tab == std::string::npos || line.find('\t', tab + 1) != std::string::npos) {
      return LineError(set, number, "must be SOURCE TAB TARGET, two columns");
    }
    TextPair pair{line.substr(0, tab), line.substr(tab + 1)};
    if (set.swap_columns) std::swap(pair.source, pair.target);
    if (pair.source.empty() || pair.target.empty()) return LineError(set, number, "a column is empty");
    pair.source.insert(0, set.prefix);
    pairs.push_back(std::move(pair));
  }
  if (file.bad()) return absl::UnavailableError(absl::StrCat(set.path, ": reading failed"));
  if (pairs.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(set.path, ": no pairs after the first ", set.skip, " lines"));
  }
  return pairs;
}

std::vector<TokenId> TokenizeText(const std::string& text, int max_tokens, const tokenizer::Tokenizer& tokenizer) {
  tokenizer::EncodeOptions options;
  options.max_tokens = max_tokens;
  return tokenizer.Encode(text, options).ids;
}

Example Tokenize(const TextPair& pair, int max_source_tokens, int max_target_tokens,
                 const tokenizer::Tokenizer& tokenizer) {
  Example example;
  example.source = TokenizeText(pair.source, max_source_tokens, tokenizer);
  example.target = TokenizeText(pair.target, max_target_tokens, tokenizer);
  SetKey(&example);
  return example;
}

void SetKey(Example* example) {
  std::uint64_t key = MixBits(example->source.size(), example->target.size());
  for (const TokenId id : example->source) key = MixBits(key, static_cast<std::uint64_t>(id));
  for (const TokenId id : example->target) key = MixBits(key, static_cast<std::uint64_t>(id));
  example->key = key;
}

}  // namespace petit::distill
