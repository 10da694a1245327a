// Where `petit translate` gets its texts.
#ifndef PETIT_CLIENT_CLI_TRANSLATE_INPUT_H_
#define PETIT_CLIENT_CLI_TRANSLATE_INPUT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/command.h"
#include "client/cli/text_io.h"

namespace petit::cli {

struct InputText {
  std::string file = {};    // "-": standard input; empty: the command line
  std::int64_t number = 0;  // of the line in its file, or of the argument, from 1
  std::string text;
  std::int64_t bytes = 0;     // of the input that this text took
  absl::Status problem = {};  // why it cannot be sent
};

class TranslateInput {
 public:
  static TranslateInput OfTexts(std::vector<std::string> texts);
  // None: standard input. Opens all of them, so that a missing one shows before any work.
  static absl::StatusOr<TranslateInput> OfFiles(std::vector<std::string> paths, const Io& io);

  // The next text, or nothing at the end or after Ctrl-C.
  absl::StatusOr<std::optional<InputText>> Next();
  // Ends the input, also for a Next() that waits. On any thread.
  void Stop() const;
  // Of all files; 0: not known.
  [[nodiscard]] std::int64_t bytes() const;

 private:
  TranslateInput() = default;

  std::vector<std::string> texts_;
  std::vector<std::string> paths_;
  std::vector<InputFile> files_;
  int interrupt_fd_ = -1;
  std::optional<InputFile> stop_;  // readable after Stop()
  std::size_t next_ = 0;           // text, or file
  std::optional<LineReader> reader_;
};

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_TRANSLATE_INPUT_H_
