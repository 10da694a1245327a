// A load run for people: while it goes on, and when it has ended.
#ifndef PETIT_CLIENT_CLI_LOAD_TEXT_H_
#define PETIT_CLIENT_CLI_LOAD_TEXT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/curve.h"
#include "client/load/run.h"

namespace petit::cli {

// What a live display shows. Not thread-safe.
class LoadView {
 public:
  explicit LoadView(const load::Plan& plan) : plan_(plan) {}

  void Update(load::Live live);
  // A block for a terminal, no wider than `columns`.
  [[nodiscard]] std::vector<std::string> Render(std::size_t columns) const;
  // The same in one line, for a file.
  [[nodiscard]] std::string Line() const;

 private:
  [[nodiscard]] std::string Where() const;

  const load::Plan& plan_;
  load::Live live_;
  Curve p99_;
  std::int64_t updates_ = 0;
};

// "40 texts/s: p99 312.4 ms, ...; holds".
std::string FormatTrial(const load::PhaseResult& trial);

std::string FormatLoad(const load::Report& report);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_LOAD_TEXT_H_
