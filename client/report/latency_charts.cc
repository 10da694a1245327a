// Charts of how latencies are distributed.
#include <algorithm>
#include <map>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "client/report/analysis.h"
#include "client/report/chart.h"
#include "client/report/format.h"

namespace petit::report {
namespace {

using nlohmann::json;

struct Place {
  std::string set;
  std::int64_t concurrency;
};

std::int64_t Total(const Histogram& histogram) {
  return std::accumulate(histogram.counts.begin(), histogram.counts.end(), std::int64_t{0});
}

// Where the counts above 0 begin and end.
std::pair<std::size_t, std::size_t> Used(const Histogram& histogram) {
  const auto counted = [](std::int64_t count) { return count > 0; };
  const auto first = std::find_if(histogram.counts.begin(), histogram.counts.end(), counted);
  const auto last = std::find_if(histogram.counts.rbegin(), histogram.counts.rend(), counted);
  return {static_cast<std::size_t>(first - histogram.counts.begin()),
          static_cast<std::size_t>(histogram.counts.rend() - last)};
}

// The share in each bin, and 0 on both sides.
void AddValues(const std::string& label, const Histogram& histogram, json& values) {
  const auto [first, last] = Used(histogram);
  const auto total = static_cast<double>(Total(histogram));
  const auto put = [&](double seconds, double share) {
    values.push_back({{"model", label}, {"ms", 1000 * seconds}, {"share", share}});
  };
  put(histogram.edges[first], 0);
  for (std::size_t i = first; i < last; ++i) {
    put(histogram.edges[i], static_cast<double>(histogram.counts[i]) / total);
  }
  put(histogram.edges[last], 0);
}

Chart LatencyChart(const Results& results, const Place& place, const std::vector<const Speed*>& speeds,
                   std::size_t number) {
  const std::string where = absl::StrCat("Latency on ", place.set, ", ", place.concurrency, " in flight");
  Table table{where,
              {{"Model", false, ""},
               {"Sentences", true, "of all passes"},
               {"p50 ms", true, ""},
               {"p95 ms", true, ""},
               {"p99 ms", true, ""},
               {"First token p50 ms", true, ""},
               {"Most are in ms", false, "the fullest bin"}},
              {}};
  json values = json::array();
  Series series;
  std::vector<LegendEntry> legend;
  for (const Speed* speed : speeds) {
    const Histogram& histogram = speed->latency;
    const std::string label = LabelOf(results, speed->model);
    const auto index = static_cast<std::size_t>(FindModel(results, speed->model) - results.models.data());
    series.names.push_back(label);
    series.indexes.push_back(index);
    AddValues(label, histogram, values);
    legend.push_back({label, index, {}, index});
    const auto fullest = static_cast<std::size_t>(std::max_element(histogram.counts.begin(), histogram.counts.end()) -
                                                  histogram.counts.begin());
    table.rows.push_back(
        {label, Integer(Total(histogram)), Milliseconds(speed->median.latency.p50),
         Milliseconds(speed->median.latency.p95), Milliseconds(speed->median.latency.p99),
         Milliseconds(speed->median.first_token.p50),
         absl::StrCat(Milliseconds(histogram.edges[fullest]), " to ", Milliseconds(histogram.edges[fullest + 1]))});
  }
  const std::string description = absl::StrCat("Share of sentences by latency for each model. ", where);
  json spec = BaseSpec(description, 240);
  spec["data"] = {{"values", values}};
  json x = Field("ms", "quantitative", "Latency, ms (logarithmic)");
  x["scale"] = {{"type", "log"}, {"nice", false}};
  x["axis"] = {{"tickCount", 5}, {"labelOverlap", "greedy"}, {"format", "~g"}, {"grid", false},
               {"ticks", true},  {"labelBound", true}};
  json y = Field("share", "quantitative", "Sentences in the bin");
  y["axis"] = {{"format", ".0%"}, {"tickCount", 5}};
  json color = Field("model", "nominal", "");
  color.update(ColorScale(series));
  json dash = Field("model", "nominal", "");
  dash.update(DashScale(series));
  spec["mark"] = {{"type", "line"}, {"interpolate", "step-after"}, {"strokeWidth", 2}};
  spec["encoding"] = {{"x", x},
                      {"y", y},
                      {"order", {{"field", "ms"}, {"type", "quantitative"}}},
                      {"color", color},
                      {"strokeDash", dash},
                      {"tooltip",
                       {Field("model", "nominal", "model"),
                        Field("ms", "quantitative", "from ms"),
                        {{"field", "share"}, {"type", "quantitative"}, {"format", ".1%"}}}}};
  return {absl::StrCat("latency-", number),
          where,
          description,
          "All passes together; each step is a bin, and bins are equally wide on the logarithmic axis.",
          spec,
          legend,
          table};
}

}  // namespace

std::vector<Chart> LatencyCharts(const Results& results) {
  std::vector<Place> places;  // in the order of the results
  std::map<std::pair<std::string, std::int64_t>, std::vector<const Speed*>> speeds;
  for (const Speed& speed : results.speeds) {
    if (Total(speed.latency) == 0) continue;
    const Place place{speed.set, speed.concurrency.value_or(1)};
    std::vector<const Speed*>& there = speeds[{place.set, place.concurrency}];
    if (there.empty()) places.push_back(place);
    there.push_back(&speed);
  }
  std::vector<Chart> charts;
  for (std::size_t i = 0; i < places.size(); ++i) {
    charts.push_back(LatencyChart(results, places[i], speeds[{places[i].set, places[i].concurrency}], i));
  }
  return charts;
}

}  // namespace petit::report
