#include "client/load/objective.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace petit::load {
namespace {

constexpr char kWanted[] =
    "p50, p95, p99 or p99.9 with a duration, as p99=500ms, or error-rate with a share, as error-rate=1%, is wanted";

absl::Status Wrong(absl::string_view term, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("'", term, "': ", what, "; ", kWanted));
}

// "1%" or "0.01".
std::optional<double> ParseShare(absl::string_view text) {
  const bool percent = absl::ConsumeSuffix(&text, "%");
  double value = 0;
  if (!absl::SimpleAtod(text, &value) || !std::isfinite(value)) return std::nullopt;
  if (percent) value /= 100;
  if (value < 0 || value >= 1) return std::nullopt;
  return value;
}

absl::Status AddTerm(absl::string_view term, Objective& objective) {
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(term, absl::MaxSplits('=', 1));
  absl::string_view name = parts.first;
  const absl::string_view value = parts.second;
  if (value.empty()) return Wrong(term, "it names no limit");
  if (name == "error-rate") {
    objective.max_error_rate = ParseShare(value);
    return objective.max_error_rate ? absl::OkStatus() : Wrong(term, "the share is not a number from 0% to below 100%");
  }
  double percentile = 0;
  if (!absl::ConsumePrefix(&name, "p") || !absl::SimpleAtod(name, &percentile) || !(percentile > 0) ||
      !(percentile < 100)) {
    return Wrong(term, absl::StrCat("'", parts.first, "' is not a figure that can be limited"));
  }
  const absl::StatusOr<absl::Duration> limit = ParseDuration({value.data(), value.size()});
  if (!limit.ok() || *limit <= absl::ZeroDuration()) return Wrong(term, "the limit is not a duration above 0");
  for (const LatencyTerm& other : objective.latencies) {
    if (other.percentile == percentile) return Wrong(term, "this percentile is limited already");
  }
  objective.latencies.push_back({.percentile = percentile, .limit = *limit});
  std::sort(objective.latencies.begin(), objective.latencies.end(),
            [](const LatencyTerm& a, const LatencyTerm& b) { return a.percentile < b.percentile; });
  return absl::OkStatus();
}

double Share(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

absl::Duration Objective::GoodWithin() const {
  return latencies.empty() ? absl::InfiniteDuration() : latencies.back().limit;
}

absl::Status AddTerms(std::string_view text, Objective& objective) {
  for (const absl::string_view term : absl::StrSplit(absl::string_view(text.data(), text.size()), ',')) {
    if (absl::Status status = AddTerm(term, objective); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<absl::Duration> ParseDuration(std::string_view text) {
  const absl::string_view view(text.data(), text.size());
  double seconds = 0;
  absl::Duration duration;
  if (absl::SimpleAtod(view, &seconds) && std::isfinite(seconds)) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(view, &duration) || duration == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", view, "' is not a duration; 500ms, 10s, 1m30s or a number of seconds is wanted"));
  }
  if (duration < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat("'", view, "' is below 0"));
  }
  return duration;
}

std::vector<Verdict> Judge(const Objective& objective, const Answered& answered) {
  std::vector<Verdict> verdicts;
  for (std::size_t i = 0; i < objective.latencies.size(); ++i) {
    const LatencyTerm& term = objective.latencies[i];
    // In whole texts, so that 99 of 100 are 99 %.
    const double wanted = term.percentile / 100 * static_cast<double>(answered.texts);
    verdicts.push_back(
        {.term = absl::StrFormat("p%g=%s", term.percentile, absl::FormatDuration(term.limit)),
         .holds = answered.texts > 0 && static_cast<double>(answered.within[i]) >= wanted - 1e-9 * wanted,
         .why = absl::StrFormat("%.2f%% of %d texts were answered within %s",
                                100 * Share(answered.within[i], answered.texts), answered.texts,
                                absl::FormatDuration(term.limit))});
  }
  if (objective.max_error_rate) {
    const double rate = Share(answered.failed, answered.texts);
    verdicts.push_back(
        {.term = absl::StrFormat("error-rate=%g%%", 100 * *objective.max_error_rate),
         .holds = answered.texts > 0 && rate <= *objective.max_error_rate,
         .why = absl::StrFormat("%d of %d texts failed, %.2f%%", answered.failed, answered.texts, 100 * rate)});
  }
  return verdicts;
}

bool AllHold(const std::vector<Verdict>& verdicts) {
  return std::all_of(verdicts.begin(), verdicts.end(), [](const Verdict& verdict) { return verdict.holds; });
}

}  // namespace petit::load
