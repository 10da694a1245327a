// How `petit translate` prints its results.
#ifndef PETIT_CLIENT_CLI_TRANSLATE_OUTPUT_H_
#define PETIT_CLIENT_CLI_TRANSLATE_OUTPUT_H_

#include <cstdint>

#include "client/cli/command.h"
#include "client/cli/progress.h"
#include "client/cli/translate_input.h"

namespace petit::cli {

// Called in the input's order, by one thread at a time. Each call returns an error where nobody reads the output any
// more.
class TranslateOutput {
 public:
  struct Options {
    bool json = false;
    bool alternatives = false;      // all of them, a line each
    bool keep_line_breaks = false;  // else a translation is one line
    bool name_lines = false;        // "line 7" in errors, else "text 7"
    bool name_files = false;
  };

  TranslateOutput(Io& io, Progress& progress, Options options) : io_(io), progress_(progress), options_(options) {}

  absl::Status Blank(const InputText& text);
  absl::Status Result(const InputText& text, const client::TextResult& result);

  [[nodiscard]] std::int64_t done() const { return done_; }
  [[nodiscard]] std::int64_t failed() const { return failed_; }
  [[nodiscard]] bool broken_pipe() const { return broken_pipe_; }

 private:
  absl::Status EndText(const InputText& text);
  void PrintJson(const InputText& text, const client::TextResult& result);

  Io& io_;
  Progress& progress_;
  const Options options_;
  std::int64_t done_ = 0;
  std::int64_t failed_ = 0;
  std::int64_t bytes_ = 0;
  bool broken_pipe_ = false;
};

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_TRANSLATE_OUTPUT_H_
