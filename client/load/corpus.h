// The texts of a run.
#ifndef PETIT_CLIENT_LOAD_CORPUS_H_
#define PETIT_CLIENT_LOAD_CORPUS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace petit::load {

// Held in memory, and used in their order, over and over.
class Corpus {
 public:
  // At most so many texts of a file are used.
  static constexpr std::size_t kMaxTexts = 100'000;

  // A text a line; or the sources of pairs, in files named *.tsv, *.jsonl, *.ndjson or *.json
  // (client/data/pair_reader.h). Any may be compressed with gzip, xz or zstd. Lines that cannot be translated (blank,
  // invalid UTF-8, too long) are left out. INVALID_ARGUMENT: no text is left, or a pair is none; else as open(2).
  // `languages`: fields of JSON objects. CANCELLED once `interrupt_fd` is readable.
  [[nodiscard]] static absl::StatusOr<Corpus> OfFile(const std::string& path, const std::string& source_language,
                                                     const std::string& target_language, int interrupt_fd = -1);

  // 1,000 texts of plain English words: in turn as many words as `lengths` says. "8,16,32", "5-60" (each between them
  // as likely), "8,20-30". The same seed gives the same texts. INVALID_ARGUMENT: not such a list, or above 1,000 words.
  [[nodiscard]] static absl::StatusOr<Corpus> Synthetic(std::string_view lengths, std::uint64_t seed);

  const std::string& Next();

  [[nodiscard]] std::size_t size() const { return texts_.size(); }
  // "200 texts of sentences.txt", "1,000 synthetic texts of 5-60 words".
  [[nodiscard]] const std::string& description() const { return description_; }

 private:
  Corpus(std::vector<std::string> texts, std::string description)
      : texts_(std::move(texts)), description_(std::move(description)) {}

  std::vector<std::string> texts_;
  std::string description_;
  std::size_t next_ = 0;
};

}  // namespace petit::load

#endif  // PETIT_CLIENT_LOAD_CORPUS_H_
