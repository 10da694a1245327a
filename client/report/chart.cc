#include "client/report/chart.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "client/report/format.h"

namespace petit::report {

using nlohmann::json;

namespace {

constexpr std::size_t kColors = 8;  // --c0 to --c7 of the page's style
// Fewer than the colours, so that a shape comes with another colour the second time.
constexpr std::array<const char*, 7> kShapes = {"circle",        "square",         "triangle-up", "diamond",
                                                "triangle-down", "triangle-right", "cross"};

// Around 0, and as large as the charts'.
constexpr std::array<const char*, kShapes.size()> kOutlines = {
    "M-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0 -8.4 0Z",
    "M-3.8 -3.8H3.8V3.8H-3.8Z",
    "M0 -4.6L4.6 3.8H-4.6Z",
    "M0 -5L4.2 0L0 5L-4.2 0Z",
    "M0 4.6L4.6 -3.8H-4.6Z",
    "M4.6 0L-3.8 4.6V-4.6Z",
    "M-1.6 -4.6H1.6V-1.6H4.6V1.6H1.6V4.6H-1.6V1.6H-4.6V-1.6H-1.6Z"};
constexpr std::array<const char*, 5> kDashes = {"1 0", "6 3", "2 2", "8 3 2 3", "12 3"};

std::string Color(std::size_t index) { return absl::StrCat("var(--c", index % kColors, ")"); }

}  // namespace

json BaseSpec(const std::string& description, int height) {
  return {{"$schema", "https://vega.github.io/schema/vega-lite/v6.json"},
          {"description", description},
          {"width", "container"},
          {"height", height},
          {"autosize", {{"type", "fit-x"}, {"contains", "padding"}}}};
}

json ColorScale(const Series& series) {
  json range = json::array();
  for (const std::size_t index : series.indexes) range.push_back(Color(index));
  return {{"scale", {{"domain", series.names}, {"range", range}}}, {"legend", nullptr}};
}

json ShapeScale(const Series& series) {
  json range = json::array();
  for (const std::size_t index : series.indexes) range.push_back(kShapes[index % kShapes.size()]);
  return {{"scale", {{"domain", series.names}, {"range", range}}}, {"legend", nullptr}};
}

json DashScale(const Series& series) {
  json range = json::array();
  for (const std::size_t index : series.indexes) {
    json dash = json::array();
    for (const absl::string_view length : absl::StrSplit(kDashes[index % kDashes.size()], ' ')) {
      dash.push_back(std::stoi(std::string(length)));
    }
    range.push_back(dash);
  }
  return {{"scale", {{"domain", series.names}, {"range", range}}}, {"legend", nullptr}};
}

std::string LegendHtml(const std::vector<LegendEntry>& legend) {
  std::string html = "<ul class=\"legend\">\n";
  for (const LegendEntry& entry : legend) {
    const std::string color = entry.color ? Color(*entry.color) : "var(--text)";
    absl::StrAppend(&html, "<li><svg width=\"26\" height=\"12\" viewBox=\"-13 -6 26 12\" aria-hidden=\"true\">");
    if (entry.dash) {
      absl::StrAppend(&html, "<path d=\"M-13 0H13\" style=\"stroke:", color,
                      "\" stroke-width=\"2\" stroke-dasharray=\"", kDashes[*entry.dash % kDashes.size()], "\"/>");
    }
    if (entry.shape) {
      absl::StrAppend(&html, "<path d=\"", kOutlines[*entry.shape % kOutlines.size()], "\" style=\"stroke:", color,
                      ";fill:", entry.hollow ? "none" : color, "\" stroke-width=\"1.5\"/>");
    }
    absl::StrAppend(&html, "</svg>", EscapeHtml(entry.label), "</li>\n");
  }
  return html + "</ul>\n";
}

Series ModelSeries(const Results& results) {
  Series series;
  for (std::size_t i = 0; i < results.models.size(); ++i) {
    series.names.push_back(results.models[i].label);
    series.indexes.push_back(i);
  }
  return series;
}

json Field(const std::string& field, const std::string& type, const std::string& title) {
  return {{"field", field}, {"type", type}, {"title", title}};
}

}  // namespace petit::report
