#include "client/report/format.h"

#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace petit::report {
namespace {

std::string Scaled(double value, double base, const std::array<const char*, 5>& units) {
  std::size_t unit = 0;
  while (value >= 0.9995 * base && unit + 1 < units.size()) {
    value /= base;
    ++unit;
  }
  if (unit == 0) return absl::StrFormat("%.0f%s", value, units[0]);
  return absl::StrFormat("%.*f%s", value < 9.95 ? 2 : value < 99.5 ? 1 : 0, value, units[unit]);
}

}  // namespace

const char kMissing[] = "–";

std::string Fixed(std::optional<double> value, int digits) {
  if (!value) return kMissing;
  std::string text = absl::StrFormat("%.*f", digits, std::abs(*value));
  // "-0.00" would say that there is a direction.
  const bool zero = text.find_first_not_of("0.") == std::string::npos;
  return *value < 0 && !zero ? "−" + text : text;
}

std::string Integer(std::optional<std::int64_t> value) {
  if (!value) return kMissing;
  std::string digits = absl::StrCat(*value);
  std::string text;
  if (digits[0] == '-') {
    text = "−";
    digits.erase(0, 1);
  }
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string Signed(double value, int digits) {
  const std::string text = Fixed(value, digits);
  const bool zero = text.find_first_not_of("0.") == std::string::npos;
  return value > 0 && !zero ? "+" + text : text;
}

std::string Bytes(std::optional<std::int64_t> bytes) {
  if (!bytes) return kMissing;
  return Scaled(static_cast<double>(*bytes), 1000, {" B", " kB", " MB", " GB", " TB"});
}

std::string Count(std::optional<std::int64_t> count) {
  if (!count) return kMissing;
  return Scaled(static_cast<double>(*count), 1000, {"", " k", " M", " G", " T"});
}

std::string Ratio(std::optional<double> ratio) { return ratio ? Fixed(ratio, 2) + "×" : kMissing; }

std::string Milliseconds(std::optional<double> seconds) {
  return seconds ? Fixed(1000 * *seconds, *seconds < 0.01 ? 2 : *seconds < 1 ? 1 : 0) : kMissing;
}

std::string Percent(std::optional<double> share, int digits) {
  return share ? Fixed(100 * *share, digits) + " %" : kMissing;
}

std::string PValue(std::optional<double> p) {
  if (!p) return kMissing;
  // The smallest that 1000 resamples give is 1 / 1001.
  return *p < 0.0005 ? "< 0.001" : absl::StrFormat("%.3f", *p);
}

std::string PEquals(double p) { return absl::StrCat(p < 0.0005 ? "p " : "p = ", PValue(p)); }

std::string ScoreText(const Score& score) {
  std::string text = Fixed(score.score, 2);
  if (score.score && score.half_width) absl::StrAppend(&text, " ± ", Fixed(score.half_width, 2));
  return text;
}

std::string Seconds(std::optional<double> seconds) {
  if (!seconds) return kMissing;
  if (*seconds < 60) return Fixed(seconds, *seconds < 10 ? 2 : 1) + " s";
  const auto minutes = static_cast<std::int64_t>(std::llround(*seconds / 60));
  if (minutes < 60) return absl::StrCat(minutes, " min");
  return absl::StrCat(minutes / 60, " h ", minutes % 60, " min");
}

std::string Period(const std::string& from, const std::string& to) {
  constexpr std::size_t kDate = 10;
  constexpr std::size_t kMinute = 16;  // as far as "2026-01-15T09:30"
  const auto readable = [](const std::string& time) {
    return time.size() > kMinute && time[kDate] == 'T' && time.back() == 'Z';
  };
  const auto minute = [](const std::string& time) { return time.substr(kDate + 1, kMinute - kDate - 1); };
  if (from.empty() || to.empty() || from == to) {
    const std::string& at = from.empty() ? to : from;
    return readable(at) ? absl::StrCat(at.substr(0, kDate), " ", minute(at), " UTC") : at;
  }
  if (!readable(from) || !readable(to)) return absl::StrCat(from, " to ", to);
  const bool same_day = from.compare(0, kDate, to, 0, kDate) == 0;
  return absl::StrCat(from.substr(0, kDate), " ", minute(from), " to ", same_day ? "" : to.substr(0, kDate) + " ",
                      minute(to), " UTC");
}

std::string Confidence(const Results& results) {
  return absl::StrFormat("%g %%", std::round(1e4 * results.settings.confidence) / 100);
}

std::string RoleText(Role role) {
  switch (role) {
    case Role::kTeacher:
      return "teacher";
    case Role::kStudent:
      return "student";
    case Role::kDistilled:
      return "distilled";
    case Role::kQuantized:
      return "quantized";
    case Role::kOther:
      break;
  }
  return "other";
}

std::string EscapeHtml(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '\0':  // which no HTML can hold
        out += "\xEF\xBF\xBD";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string EscapeMarkdown(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    switch (c) {
      case '\\':
      case '`':
      case '*':
      case '_':
      case '[':
      case ']':
      case '~':
      case '|':
      case '#':
      case '$':
        out += '\\';
        out += c;
        break;
      case '@':  // a mention would call somebody
        out += "@\xE2\x80\x8B";
        break;
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\n':
      case '\r':
      case '\t':
        out += ' ';
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace petit::report
