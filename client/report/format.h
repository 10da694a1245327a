// Figures and texts as people read them. A figure that is not there is an en dash.
#ifndef PETIT_CLIENT_REPORT_FORMAT_H_
#define PETIT_CLIENT_REPORT_FORMAT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "client/report/results.h"

namespace petit::report {

extern const char kMissing[];  // the en dash

std::string Fixed(std::optional<double> value, int digits);
std::string Integer(std::optional<std::int64_t> value);  // "2,041"
std::string Signed(double value, int digits);            // "+1.80", and a minus sign that is one
std::string Bytes(std::optional<std::int64_t> bytes);    // "77.5 MB", decimal units
std::string Count(std::optional<std::int64_t> count);    // "60.5 M"
std::string Ratio(std::optional<double> ratio);          // "0.30×"
std::string Milliseconds(std::optional<double> seconds);
std::string Percent(std::optional<double> share, int digits);
std::string PValue(std::optional<double> p);                         // "0.012"; "< 0.001"
std::string PEquals(double p);                                       // "p = 0.012"; "p < 0.001"
std::string ScoreText(const Score& score);                           // "20.11 ± 0.90"
std::string Seconds(std::optional<double> seconds);                  // "41.2 s", "12 min", "3 h 20 min"
std::string Period(const std::string& from, const std::string& to);  // "2026-01-15 09:30 to 11:02 UTC", of RFC 3339
std::string Confidence(const Results& results);                      // "95 %"
std::string RoleText(Role role);                                     // "distilled"

// For HTML's text and quoted attributes.
std::string EscapeHtml(const std::string& text);
// For a cell of a Markdown table, or a line of its text: shown as it is.
std::string EscapeMarkdown(const std::string& text);

}  // namespace petit::report

#endif  // PETIT_CLIENT_REPORT_FORMAT_H_
