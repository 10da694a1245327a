#include "client/report/table.h"

#include "absl/strings/str_cat.h"
#include "client/report/format.h"

namespace petit::report {

std::string TableHtml(const Table& table) {
  const std::string caption = EscapeHtml(table.caption);
  std::string html = absl::StrCat("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"", caption,
                                  "\"><table>\n<caption>", caption, "</caption>\n<thead><tr>");
  for (const Column& column : table.columns) {
    absl::StrAppend(&html, "<th scope=\"col\"", column.number ? " class=\"n\"" : "");
    if (!column.help.empty()) absl::StrAppend(&html, " title=\"", EscapeHtml(column.help), "\"");
    absl::StrAppend(&html, ">", EscapeHtml(column.title), "</th>");
  }
  absl::StrAppend(&html, "</tr></thead>\n<tbody>\n");
  for (const std::vector<std::string>& row : table.rows) {
    absl::StrAppend(&html, "<tr>");
    for (std::size_t i = 0; i < row.size() && i < table.columns.size(); ++i) {
      const char* number = table.columns[i].number ? " class=\"n\"" : "";
      absl::StrAppend(&html, i == 0 ? "<th scope=\"row\"" : "<td", number, ">", EscapeHtml(row[i]),
                      i == 0 ? "</th>" : "</td>");
    }
    absl::StrAppend(&html, "</tr>\n");
  }
  return html + "</tbody></table></div>\n";
}

std::string TableMarkdown(const Table& table) {
  std::string head = "|";
  std::string rule = "|";
  for (const Column& column : table.columns) {
    absl::StrAppend(&head, " ", EscapeMarkdown(column.title), " |");
    absl::StrAppend(&rule, column.number ? " ---: |" : " --- |");
  }
  std::string text = absl::StrCat(head, "\n", rule, "\n");
  for (const std::vector<std::string>& row : table.rows) {
    text += "|";
    for (std::size_t i = 0; i < row.size() && i < table.columns.size(); ++i) {
      absl::StrAppend(&text, " ", EscapeMarkdown(row[i]), " |");
    }
    text += "\n";
  }
  return text;
}

}  // namespace petit::report
