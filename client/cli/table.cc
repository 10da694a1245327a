#include "client/cli/table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace petit::cli {
namespace {

std::size_t Width(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string Scaled(std::int64_t value, const char* unit) {
  if (value == 0) return "-";
  static constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T"};
  auto scaled = static_cast<double>(value);
  std::size_t prefix = 0;
  while (scaled >= 999.5 && prefix + 1 < std::size(kPrefixes)) {
    scaled /= 1000;
    ++prefix;
  }
  const int digits = prefix > 0 && scaled < 99.95 ? 1 : 0;
  const std::string number = absl::StrFormat("%.*f", digits, scaled);
  const std::string suffix = absl::StrCat(kPrefixes[prefix], unit);
  return suffix.empty() ? number : absl::StrCat(number, " ", suffix);
}

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::AddRow(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::Format() const {
  std::vector<std::size_t> widths;
  widths.reserve(columns_.size());
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    widths.push_back(Width(columns_[i].title));
    for (const auto& row : rows_) widths[i] = std::max(widths[i], Width(row[i]));
  }
  std::string result;
  const auto append_cell = [&](std::string& line, std::size_t i, const std::string& cell) {
    const std::string padding(widths[i] - Width(cell), ' ');
    absl::StrAppend(&line, i == 0 ? "" : "  ");
    absl::StrAppend(&line, columns_[i].align == Align::kRight ? padding + cell : cell + padding);
  };
  const auto append_line = [&](std::string line) {
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&result, line, "\n");
  };
  std::string header;
  for (std::size_t i = 0; i < columns_.size(); ++i) append_cell(header, i, columns_[i].title);
  append_line(std::move(header));
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) append_cell(line, i, row[i]);
    append_line(std::move(line));
  }
  return result;
}

std::string FormatBytes(std::int64_t bytes) { return Scaled(bytes, "B"); }

std::string FormatCount(std::int64_t count) { return Scaled(count, ""); }

}  // namespace petit::cli
