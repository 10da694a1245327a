// Charts: data and a Vega-Lite specification, with the numbers as a table.
#ifndef PETIT_CLIENT_REPORT_CHART_H_
#define PETIT_CLIENT_REPORT_CHART_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "client/report/results.h"
#include "client/report/table.h"

namespace petit::report {

// What a colour, a shape or a dash stands for: places in the lists that ColorScale, ShapeScale and DashScale use.
struct LegendEntry {
  std::string label;
  std::optional<std::size_t> color;  // nothing: of the text
  std::optional<std::size_t> shape;
  std::optional<std::size_t> dash;  // of a line; a shape is drawn over it
  bool hollow = false;
};

struct Chart {
  std::string id;           // of its element
  std::string title;        // for everyone
  std::string description;  // for those who cannot see it
  std::string note;         // how to read it; may be empty
  nlohmann::json spec;
  std::vector<LegendEntry> legend;  // in HTML, which wraps where a picture would be cut
  Table table;
};

// A metric of all models: the sets in the domain in one chart, those out of it in another, on one scale.
std::vector<Chart> ScoreCharts(const Results& results);
// A job's training: cross-entropy, KL and dev BLEU by step. `id` tells jobs apart.
std::vector<Chart> TrainingCharts(const Results& results, const Job& job, const std::string& id);
// Quality against bytes, and against speed.
std::vector<Chart> TradeOffCharts(const Results& results);
// Latencies for each set and number of texts in flight.
std::vector<Chart> LatencyCharts(const Results& results);

// Shared by the files that make charts.

// The start of every specification: as wide as its box.
nlohmann::json BaseSpec(const std::string& description, int height);
// A series of a chart: its colour (of the page's, by number) and shape tell it from the others.
struct Series {
  std::vector<std::string> names;
  std::vector<std::size_t> indexes;
};
nlohmann::json ColorScale(const Series& series);
nlohmann::json ShapeScale(const Series& series);
nlohmann::json DashScale(const Series& series);
std::string LegendHtml(const std::vector<LegendEntry>& legend);
// Every model, by its place in the results.
Series ModelSeries(const Results& results);
// An encoding channel's parts.
nlohmann::json Field(const std::string& field, const std::string& type, const std::string& title);

}  // namespace petit::report

#endif  // PETIT_CLIENT_REPORT_CHART_H_
