// The sentence pairs that `petit eval` measures models with.
#ifndef PETIT_CLIENT_CLI_EVAL_SET_H_
#define PETIT_CLIENT_CLI_EVAL_SET_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/text_io.h"

namespace petit::cli {

// Either a file of SOURCE<TAB>REFERENCE lines, or two files whose lines belong together.
struct EvalFiles {
  std::string pairs;
  std::string source;
  std::string reference;
  std::int64_t limit = 0;  // pairs used, from the start; 0: all
};

struct EvalPair {
  std::int64_t line = 0;  // from 1
  std::string source;
  std::string reference;
  absl::Status problem;  // why the source cannot be translated: blank, invalid UTF-8, too long
};

struct EvalFileInfo {
  std::string path;
  std::string sha256;  // of the whole file, hex
};

struct EvalSetInfo {
  std::vector<EvalFileInfo> files;
  std::int64_t pairs = 0;        // used
  std::int64_t pairs_there = 0;  // in the files
};

// Reads a set once, in bounded memory. Errors name the file and the line.
class EvalSetReader {
 public:
  static absl::StatusOr<EvalSetReader> Open(const EvalFiles& files, int interrupt_fd);

  // The next pair within the limit, or nothing. INVALID_ARGUMENT: a line without a tab, files of different lengths, a
  // reference that is not text.
  absl::StatusOr<std::optional<EvalPair>> Next();

 private:
  struct Input {
    Input(std::string input_path, InputFile opened, int interrupt_fd);
    std::string path;
    InputFile file;
    LineReader reader;
  };

  EvalSetReader() = default;
  absl::StatusOr<std::optional<EvalPair>> NextPair();

  std::unique_ptr<Input> first_;
  std::unique_ptr<Input> second_;  // null: the references are in the first
  std::int64_t limit_ = 0;
  std::int64_t read_ = 0;
};

// Reads the whole set: its size and digests, and every error that the format can have, before any work is done.
absl::StatusOr<EvalSetInfo> InspectEvalSet(const EvalFiles& files, int interrupt_fd);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_EVAL_SET_H_
