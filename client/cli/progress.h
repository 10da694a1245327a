// A line on a terminal that says how far a long run is.
#ifndef PETIT_CLIENT_CLI_PROGRESS_H_
#define PETIT_CLIENT_CLI_PROGRESS_H_

#include <cstdint>
#include <iosfwd>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace petit::cli {

// "label [#####-----]  50%  500 lines, 120/s, 4s left": drawn at most ten times a second, wiped at the end. Not
// thread-safe.
class Progress {
 public:
  struct Options {
    std::string label;
    std::string unit = "lines";
    // What the work amounts to, in whatever Update's `work` counts; 0: not known, then there is no bar.
    std::int64_t total = 0;
    bool enabled = false;
  };

  Progress(std::ostream& stream, Options options, absl::Time now = absl::Now());
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `items` were done, which is `work` of the total.
  void Update(std::int64_t items, std::int64_t work, absl::Time now = absl::Now());
  // Wipes the line, so that something else can be printed; the next Update draws it again.
  void Wipe();

 private:
  std::ostream& stream_;
  const Options options_;
  const absl::Time start_;
  absl::Time next_draw_;
  bool drawn_ = false;
};

// "4s", "3m 05s", "2h 07m".
std::string FormatRemaining(absl::Duration duration);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_PROGRESS_H_
