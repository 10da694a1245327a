// Tables of a report: what HTML and Markdown share.
#ifndef PETIT_CLIENT_REPORT_TABLE_H_
#define PETIT_CLIENT_REPORT_TABLE_H_

#include <string>
#include <vector>

#include "client/report/results.h"

namespace petit::report {

struct Column {
  std::string title;
  bool number = false;  // to the right, digits of one width
  std::string help;     // what the title means; may be empty
};

// Cells are plain text. The first column names the row.
struct Table {
  std::string caption;
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;
};

std::string TableHtml(const Table& table);
std::string TableMarkdown(const Table& table);

// The main set: what each model is worth and costs.
Table SummaryTable(const Results& results);
// What each model is.
Table ModelTable(const Results& results);
// All that was measured on a set.
Table QualityTable(const Results& results, const Set& set);
Table SpeedTable(const Results& results);
Table SetTable(const Results& results);
// At most `limit` failed sentences of each model and set; a row says how many more there are.
Table FailureTable(const Results& results, std::size_t limit);

}  // namespace petit::report

#endif  // PETIT_CLIENT_REPORT_TABLE_H_
