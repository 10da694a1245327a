#include "client/cli/progress.h"

#include <algorithm>
#include <ostream>
#include <utility>

#include "absl/strings/str_format.h"

namespace petit::cli {

std::string FormatRemaining(absl::Duration duration) {
  const std::int64_t seconds = absl::ToInt64Seconds(absl::Ceil(duration, absl::Seconds(1)));
  if (seconds < 60) return absl::StrFormat("%ds", seconds);
  if (seconds < 3600) return absl::StrFormat("%dm %02ds", seconds / 60, seconds % 60);
  return absl::StrFormat("%dh %02dm", seconds / 3600, seconds / 60 % 60);
}

Progress::Progress(std::ostream& stream, Options options, absl::Time now)
    // Nothing is drawn for work that is over in a moment.
    : stream_(stream), options_(std::move(options)), start_(now), next_draw_(now + absl::Milliseconds(500)) {}

Progress::~Progress() { Wipe(); }

void Progress::Update(std::int64_t items, std::int64_t work, absl::Time now) {
  if (!options_.enabled || now < next_draw_) return;
  next_draw_ = now + absl::Milliseconds(100);
  const double seconds = std::max(1e-3, absl::ToDoubleSeconds(now - start_));
  std::string line = options_.label;
  if (options_.total > 0) {
    constexpr int kWidth = 30;
    const double share = std::clamp(static_cast<double>(work) / static_cast<double>(options_.total), 0.0, 1.0);
    const int filled = static_cast<int>(share * kWidth);
    absl::StrAppendFormat(&line, " [%s%s] %3d%% ", std::string(filled, '#'), std::string(kWidth - filled, '-'),
                          static_cast<int>(share * 100));
  }
  absl::StrAppendFormat(&line, " %d %s, %.*f/s", items, options_.unit, items / seconds < 10 ? 1 : 0,
                        static_cast<double>(items) / seconds);
  if (options_.total > 0 && work > 0) {
    const double left = std::max(0.0, static_cast<double>(options_.total - work));
    const double rate = static_cast<double>(work) / seconds;
    line += ", " + FormatRemaining(absl::Seconds(left / rate)) + " left";
  }
  stream_ << "\r" << line << "\x1b[K" << std::flush;
  drawn_ = true;
}

void Progress::Wipe() {
  if (std::exchange(drawn_, false)) stream_ << "\r\x1b[K" << std::flush;
}

}  // namespace petit::cli
