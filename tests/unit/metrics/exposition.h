// Reads Prometheus' text format in tests.
#ifndef PETIT_TESTS_UNIT_METRICS_EXPOSITION_H_
#define PETIT_TESTS_UNIT_METRICS_EXPOSITION_H_

#include <map>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace petit::serving {

// Value by series, as written: `petit_model_ready{model="m"}`.
using Exposition = std::map<std::string, double>;

inline Exposition ParseExposition(const std::string& text) {
  Exposition series;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (line[0] == '#') continue;
    const std::size_t space = line.rfind(' ');
    double value = 0;
    if (absl::SimpleAtod(line.substr(space + 1), &value)) series[std::string(line.substr(0, space))] = value;
  }
  return series;
}

inline std::optional<double> Value(const Exposition& exposition, const std::string& series) {
  const auto found = exposition.find(series);
  if (found == exposition.end()) return std::nullopt;
  return found->second;
}

// Series whose name and labels begin so.
inline int CountSeries(const Exposition& exposition, const std::string& beginning) {
  int count = 0;
  for (const auto& [name, value] : exposition) count += absl::StartsWith(name, beginning) ? 1 : 0;
  return count;
}

}  // namespace petit::serving

#endif  // PETIT_TESTS_UNIT_METRICS_EXPOSITION_H_
