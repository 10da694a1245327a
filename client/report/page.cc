#include "client/report/page.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "client/report/assets.h"
#include "client/report/format.h"

namespace petit::report {
namespace {

constexpr std::size_t kLongTable = 5;  // rows

// JSON that a script element can hold.
std::string ScriptJson(const nlohmann::json& json) {
  return absl::StrReplaceAll(json.dump(), {{"<", "\\u003c"}, {"\xE2\x80\xA8", "\\u2028"}, {"\xE2\x80\xA9", "\\u2029"}});
}

}  // namespace

std::string Folded(const std::string& summary, const std::string& html) {
  return absl::StrCat("<details><summary>", EscapeHtml(summary), "</summary>\n", html, "</details>\n");
}

std::string FoldedIfLong(const std::string& summary, const Table& table) {
  std::string html = TableHtml(table);
  if (table.rows.size() <= kLongTable) return html;
  return Folded(absl::StrCat(summary, ", ", table.rows.size(), " rows"), html);
}

void PageBuilder::BeginHeader(const std::string& title, const std::string& lead) {
  Add(absl::StrCat("<header>\n<div class=\"bar\"><div><h1>", EscapeHtml(title), "</h1></div>",
                   "<button type=\"button\" id=\"theme\" hidden>Light or dark</button></div>\n"));
  if (!lead.empty()) Add(absl::StrCat("<p class=\"lead\">", EscapeHtml(lead), "</p>\n"));
}

void PageBuilder::Section(const std::string& id, const std::string& title) {
  sections_.emplace_back(id, title);
  Add(absl::StrCat("<section id=\"", id, "\" aria-labelledby=\"", id, "-title\">\n<h2 id=\"", id, "-title\">",
                   EscapeHtml(title), "</h2>\n"));
}

void PageBuilder::AddFact(const std::string& name, const std::string& value) {
  if (value.empty()) return;
  Add(absl::StrCat("<div><dt>", name, "</dt><dd>", EscapeHtml(value), "</dd></div>\n"));
}

void PageBuilder::AddCharts(const std::vector<Chart>& charts) {
  Add("<div class=\"charts\">\n");
  for (const Chart& chart : charts) {
    charts_.push_back({{"id", chart.id}, {"spec", chart.spec}});
    Add(absl::StrCat("<figure aria-labelledby=\"", chart.id, "-title\">\n<div class=\"plot\"><h3 id=\"", chart.id,
                     "-title\">", EscapeHtml(chart.title), "</h3>"));
    if (!chart.note.empty()) Add(absl::StrCat("<p class=\"note\">", EscapeHtml(chart.note), "</p>"));
    Add(absl::StrCat("\n<div class=\"chart\" id=\"", chart.id, "\" role=\"img\" aria-label=\"",
                     EscapeHtml(chart.description), "\"></div>\n", LegendHtml(chart.legend), "</div>\n"));
    Add(FoldedIfLong("The numbers", chart.table));
    Add("</figure>\n");
  }
  Add("</div>\n");
}

std::string PageBuilder::Contents() const {
  std::string html = "<nav aria-label=\"Contents\"><ul>\n";
  for (const auto& [id, title] : sections_) {
    absl::StrAppend(&html, "<li><a href=\"#", id, "\">", EscapeHtml(title), "</a></li>\n");
  }
  return html + "</ul></nav>\n";
}

std::string PageBuilder::Scripts() const {
  if (charts_.empty()) {
    return absl::StrCat("<script type=\"application/json\" id=\"charts\">[]</script>\n", "<script type=\"module\">\n",
                        std::string(PageJs()), "</script>\n");
  }
  const std::string bundle = absl::StrReplaceAll(absl::string_view(VegaBundleJs().data(), VegaBundleJs().size()),
                                                 {{"</script", "<\\/script"}, {"<!--", "<\\!--"}});
  return absl::StrCat("<!--\n", std::string(VegaLicenses()), "-->\n<script type=\"module\">", bundle, "</script>\n",
                      "<script type=\"application/json\" id=\"charts\">", ScriptJson(charts_),
                      "</script>\n<script type=\"module\">\n", std::string(PageJs()), "</script>\n");
}

std::string PageBuilder::Finish(const PageFrame& frame) const {
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; ",
      "script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">\n<title>",
      EscapeHtml(frame.title), "</title>\n<style>\n", std::string(StyleCss()), frame.style,
      "</style>\n</head>\n<body>\n<div class=\"page\">\n", frame.head, Contents(), body_, "</main>\n",
      "<noscript><p class=\"note\">The charts want JavaScript; their numbers are in the tables.</p></noscript>\n",
      "<footer><p>Made by ", EscapeHtml(frame.made_by), ". Charts by ", EscapeHtml(std::string(VegaVersions())),
      ", which are inside this file; their licences are in its source. Nothing is loaded from "
      "elsewhere.</p></footer>\n",
      "</div>\n", Scripts(), "</body>\n</html>\n");
}

}  // namespace petit::report
