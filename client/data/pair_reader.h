// Sentence pairs out of files: the sets that models are measured with.
#ifndef PETIT_CLIENT_DATA_PAIR_READER_H_
#define PETIT_CLIENT_DATA_PAIR_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace petit::data {

// kTsv: SOURCE<TAB>REFERENCE. kJsonl: an object a line. kAuto: kJsonl for a file named .jsonl, .ndjson or .json,
// whatever its compression's suffix; else kTsv.
enum class PairFormat { kAuto, kTsv, kJsonl };

// Either `pairs`, or `source` and `reference`: two files of plain lines that belong together. Each may be compressed
// with gzip, xz or zstd, which is seen by its content.
struct PairFiles {
  std::string pairs;
  std::string source;
  std::string reference;
  PairFormat format = PairFormat::kAuto;  // of `pairs`
  bool swap_columns = false;              // TSV: the reference stands first
  // JSONL: the fields' names, with a dot for an object inside: "translation.en". Empty: the first that is there of
  // "translation.LANGUAGE", LANGUAGE, then "source", "src" and "target", "tgt", "reference", "ref".
  std::string source_field;
  std::string reference_field;
  std::string source_language;  // "en": only for those
  std::string target_language;
  std::int64_t skip = 0;  // pairs left out at the start
  std::int64_t take = 0;  // pairs used after them; 0: all
};

struct Pair {
  std::int64_t line = 0;  // in the file, from 1
  // Out of JSONL they may hold tabs and line breaks.
  std::string source;
  std::string reference;
  absl::Status problem;  // why the source cannot be translated: blank, invalid UTF-8, too long
};

// Reads a set once, from its start, in bounded memory.
class PairReader {
 public:
  // INVALID_ARGUMENT: `files` cannot be meant. Else as open(2). `interrupt_fd`: once it is readable, reading ends with
  // CANCELLED.
  [[nodiscard]] static absl::StatusOr<PairReader> Open(const PairFiles& files, int interrupt_fd = -1);
  PairReader(PairReader&&) noexcept;
  PairReader& operator=(PairReader&&) noexcept;
  ~PairReader();

  // The next pair, or nothing at the end of the files or of what `take` allows. Errors name the file, and the line
  // where it is one's. INVALID_ARGUMENT: a line that is no pair, files of different lengths, a reference that is not
  // text. DATA_LOSS: a compressed file is damaged or cut off.
  [[nodiscard]] absl::StatusOr<std::optional<Pair>> Next();

 private:
  friend class PairInspection;
  class Parser;
  explicit PairReader(std::unique_ptr<Parser> parser);

  std::unique_ptr<Parser> parser_;
  std::int64_t skip_ = 0;
  std::int64_t take_ = 0;
  std::int64_t taken_ = 0;
};

struct PairFileInfo {
  std::string path;
  std::string sha256;  // of the whole file as it lies there, in hexadecimal
};

struct PairSetInfo {
  std::vector<PairFileInfo> files;
  std::int64_t pairs = 0;        // used
  std::int64_t pairs_there = 0;  // in the files
};

// Reads the whole set once: its size and digests, and every error that Next can have for it, before any work is done.
// Besides, INVALID_ARGUMENT: it holds no pairs, or none after `skip`; or it is not a regular file, which could not be
// read again.
[[nodiscard]] absl::StatusOr<PairSetInfo> InspectPairs(const PairFiles& files, int interrupt_fd = -1);

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_PAIR_READER_H_
