// Tables of text, for people.
#ifndef PETIT_CLIENT_CLI_TABLE_H_
#define PETIT_CLIENT_CLI_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace petit::cli {

// Columns as wide as their widest cell, two spaces apart; no spaces at the ends of lines. Widths count code points.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns);
  // Missing cells are empty; cells beyond the columns are dropped.
  void AddRow(std::vector<std::string> cells);
  [[nodiscard]] std::string Format() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "77.5 MB": decimal units, as disks are sold. "-" for 0.
std::string FormatBytes(std::int64_t bytes);
// "60.5 M". "-" for 0.
std::string FormatCount(std::int64_t count);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_TABLE_H_
