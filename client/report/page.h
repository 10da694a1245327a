// The pieces of a page that needs nothing else: style, charts (Vega-Lite) and the library that draws them are inside,
// and its content security policy forbids it to load anything.
#ifndef PETIT_CLIENT_REPORT_PAGE_H_
#define PETIT_CLIENT_REPORT_PAGE_H_

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "client/report/chart.h"

namespace petit::report {

struct PageFrame {
  std::string title;    // plain text
  std::string style;    // CSS beside the page's own
  std::string head;     // HTML before the contents: BeginHeader to EndHeader, and what comes first
  std::string made_by;  // "petit report"
};

// Gathers HTML. What it is given as HTML is trusted; all else is escaped.
class PageBuilder {
 public:
  void Add(const std::string& html) { body_ += html; }
  // The title's line, with the theme's switch, and a lead that may be empty; the main part begins after EndHeader.
  void BeginHeader(const std::string& title, const std::string& lead);
  void EndHeader() { Add("</header>\n<main>\n"); }
  // Begins a section, which the contents list.
  void Section(const std::string& id, const std::string& title);
  void EndSection() { Add("</section>\n"); }
  // Within <dl class="facts">. Nothing for an empty value.
  void AddFact(const std::string& name, const std::string& value);
  void AddCharts(const std::vector<Chart>& charts);

  // What has been added since the last Take.
  std::string Take() { return std::exchange(body_, ""); }
  // The whole file: `frame.head`, the contents, and what has been added since the last Take.
  [[nodiscard]] std::string Finish(const PageFrame& frame) const;

 private:
  [[nodiscard]] std::string Contents() const;
  [[nodiscard]] std::string Scripts() const;

  std::string body_;
  nlohmann::json charts_ = nlohmann::json::array();
  std::vector<std::pair<std::string, std::string>> sections_;  // ids and titles
};

// HTML that is shown once its summary is opened.
std::string Folded(const std::string& summary, const std::string& html);
// The same, for tables that are long.
std::string FoldedIfLong(const std::string& summary, const Table& table);

}  // namespace petit::report

#endif  // PETIT_CLIENT_REPORT_PAGE_H_
