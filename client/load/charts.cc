#include "client/load/charts.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/load/results.h"
#include "client/report/format.h"

namespace petit::load {
namespace {

using nlohmann::json;
using report::Chart;
using report::Field;
using report::Table;

constexpr int kHeight = 240;
constexpr double kQuantiles[] = {0.5, 0.95, 0.99};
constexpr const char* kQuantileNames[] = {"p50", "p95", "p99"};

double Milliseconds(absl::Duration duration) { return absl::ToDoubleMilliseconds(duration); }
std::string MillisecondsText(absl::Duration duration) { return report::Milliseconds(absl::ToDoubleSeconds(duration)); }

// A chart of lines, its legend and its colours from the names of its series.
class LineChart {
 public:
  LineChart(Chart chart, std::vector<std::string> names, json x, json y) : chart_(std::move(chart)) {
    series_.names = std::move(names);
    for (std::size_t i = 0; i < series_.names.size(); ++i) {
      series_.indexes.push_back(i);
      chart_.legend.push_back({series_.names[i], i, {}, i});
    }
    x_ = std::move(x);
    y_ = std::move(y);
  }

  void Add(std::size_t series, double x, double y) {
    values_.push_back({{"x", x}, {"y", y}, {"series", series_.names[series]}});
  }
  Table& table() { return chart_.table; }

  // `rules`: vertical lines there.
  Chart Finish(const json& mark, const std::vector<double>& rules = {}) {
    json color = Field("series", "nominal", "");
    color.update(report::ColorScale(series_));
    json dash = Field("series", "nominal", "");
    dash.update(report::DashScale(series_));
    const std::string x_title = x_["title"];
    const std::string y_title = y_["title"];
    json lines = {{"mark", mark},
                  {"encoding",
                   {{"x", x_},
                    {"y", y_},
                    {"order", {{"field", "x"}, {"type", "quantitative"}}},
                    {"color", color},
                    {"strokeDash", dash},
                    {"tooltip",
                     {Field("series", "nominal", "series"),
                      Field("x", "quantitative", x_title),
                      {{"field", "y"}, {"type", "quantitative"}, {"title", y_title}, {"format", ".4~g"}}}}}}};
    json layers = json::array({lines});
    if (!rules.empty()) {
      json places = json::array();
      for (const double place : rules) places.push_back({{"x", place}});
      layers.push_back({{"data", {{"values", places}}},
                        {"mark", {{"type", "rule"}, {"strokeDash", {2, 3}}, {"color", "var(--muted)"}}},
                        {"encoding", {{"x", x_}}}});
    }
    chart_.spec = report::BaseSpec(chart_.description, kHeight);
    chart_.spec["data"] = {{"values", values_}};
    chart_.spec["layer"] = layers;
    return std::move(chart_);
  }

 private:
  Chart chart_;
  report::Series series_;
  json x_;
  json y_;
  json values_ = json::array();
};

const json kLine = {{"type", "line"}, {"strokeWidth", 2}};

json TimeAxis() {
  json x = Field("x", "quantitative", "Seconds from the start");
  x["axis"] = {{"grid", false}, {"ticks", true}};
  return x;
}

json LogAxis(const std::string& title) {
  json x = Field("x", "quantitative", title);
  x["scale"] = {{"type", "log"}, {"nice", false}};
  x["axis"] = {{"tickCount", 5}, {"labelOverlap", "greedy"}, {"format", "~g"}, {"grid", false},
               {"ticks", true},  {"labelBound", true}};
  return x;
}

// Where phases after the first begin.
std::vector<double> PhaseStarts(const Report& report) {
  std::vector<double> starts;
  for (std::size_t i = 1; i < report.phases.size(); ++i) {
    starts.push_back(absl::ToDoubleSeconds(report.phases[i].figures.start));
  }
  return starts;
}

std::string TimeNote(const Report& report) {
  const std::string interval = absl::FormatDuration(report.series.length);
  return absl::StrCat("Every ", interval, ", by when answers came; warm-ups included.",
                      report.phases.size() > 1 ? " Dotted: where a phase begins." : "");
}

Chart LatencyOverTime(const Report& report, std::size_t model) {
  const std::string& name = report.plan.models[model].name;
  const std::string title = absl::StrCat("Latency over time: ", name);
  LineChart chart({.id = absl::StrCat("latency-", model),
                   .title = title,
                   .description = absl::StrCat(title, ": p50, p95 and p99 of each interval."),
                   .note = TimeNote(report),
                   .spec = {},
                   .legend = {},
                   .table = {title,
                             {{"Seconds", true, ""},
                              {"Answers", true, ""},
                              {"p50 ms", true, ""},
                              {"p95 ms", true, ""},
                              {"p99 ms", true, ""}},
                             {}}},
                  {std::begin(kQuantileNames), std::end(kQuantileNames)}, TimeAxis(),
                  Field("y", "quantitative", "Latency, ms"));
  const std::vector<Interval>& intervals = report.series.models[model];
  for (std::size_t i = 0; i < intervals.size(); ++i) {
    const double time = static_cast<double>(i) * absl::ToDoubleSeconds(report.series.length);
    std::vector<std::string> row = {absl::StrFormat("%g", time), report::Integer(intervals[i].answered)};
    for (std::size_t k = 0; k < std::size(kQuantiles); ++k) {
      if (intervals[i].latency.count() == 0) {
        row.emplace_back(report::kMissing);
        continue;
      }
      const absl::Duration quantile = intervals[i].latency.Quantile(kQuantiles[k]);
      chart.Add(k, time, Milliseconds(quantile));
      row.push_back(MillisecondsText(quantile));
    }
    chart.table().rows.push_back(std::move(row));
  }
  return chart.Finish(kLine, PhaseStarts(report));
}

// One series for each of `names`; `count` of an interval of a model, for the series, summed over the models.
Chart RatesOverTime(const Report& report, const std::string& id, const std::string& title, const std::string& axis,
                    const std::vector<std::string>& names,
                    const std::function<std::int64_t(std::size_t series, std::size_t model, const Interval&)>& count) {
  Table table{title, {{"Seconds", true, ""}}, {}};
  for (const std::string& name : names) table.columns.push_back({name, true, ""});
  LineChart chart({.id = id,
                   .title = title,
                   .description = absl::StrCat(title, ", of each interval."),
                   .note = TimeNote(report),
                   .spec = {},
                   .legend = {},
                   .table = table},
                  names, TimeAxis(), Field("y", "quantitative", axis));
  const double length = absl::ToDoubleSeconds(report.series.length);
  const std::size_t intervals = report.series.models.front().size();
  for (std::size_t i = 0; i < intervals; ++i) {
    std::vector<std::string> row = {absl::StrFormat("%g", static_cast<double>(i) * length)};
    for (std::size_t series = 0; series < names.size(); ++series) {
      std::int64_t sum = 0;
      for (std::size_t model = 0; model < report.series.models.size(); ++model) {
        sum += count(series, model, report.series.models[model][i]);
      }
      chart.Add(series, static_cast<double>(i) * length, static_cast<double>(sum) / length);
      row.push_back(report::Fixed(static_cast<double>(sum) / length, 1));
    }
    chart.table().rows.push_back(std::move(row));
  }
  return chart.Finish(kLine, PhaseStarts(report));
}

Chart ThroughputOverTime(const Report& report) {
  std::vector<std::string> names = {"sent"};
  const bool several = report.plan.models.size() > 1;
  if (several) {
    for (const ModelShare& model : report.plan.models) names.push_back("answered by " + model.name);
  } else {
    names.emplace_back("answered");
  }
  return RatesOverTime(report, "throughput", "Throughput over time", "Texts a second", names,
                       [several](std::size_t series, std::size_t model, const Interval& interval) -> std::int64_t {
                         if (series == 0) return interval.sent;
                         return !several || series == model + 1 ? interval.answered : 0;
                       });
}

std::vector<std::string> ErrorCodes(const Report& report) {
  std::set<std::string> codes;
  for (const std::vector<Interval>& intervals : report.series.models) {
    for (const Interval& interval : intervals) {
      for (const auto& [code, count] : interval.errors) codes.insert(code);
    }
  }
  return {codes.begin(), codes.end()};
}

}  // namespace

std::string SeriesName(const Report& report, std::size_t phase, std::size_t model) {
  const std::string& name = report.plan.models[model].name;
  const std::string load = Describe(report.phases[phase].figures.phase);
  if (report.phases.size() == 1) return name;
  return report.plan.models.size() == 1 ? load : absl::StrCat(name, ", ", load);
}

std::vector<Chart> ChartsOverTime(const Report& report) {
  std::vector<Chart> charts;
  if (report.series.models.front().empty()) return charts;
  for (std::size_t i = 0; i < report.plan.models.size(); ++i) charts.push_back(LatencyOverTime(report, i));
  charts.push_back(ThroughputOverTime(report));
  const std::vector<std::string> codes = ErrorCodes(report);
  if (!codes.empty()) {
    charts.push_back(RatesOverTime(report, "errors", "Errors over time", "Failed texts a second", codes,
                                   [&codes](std::size_t series, std::size_t /*model*/, const Interval& interval) {
                                     const auto found = interval.errors.find(codes[series]);
                                     return found == interval.errors.end() ? 0 : found->second;
                                   }));
  }
  return charts;
}

std::vector<Chart> DistributionCharts(const Report& report) {
  std::vector<std::string> names;
  std::vector<const Figures*> all;
  for (std::size_t phase = 0; phase < report.phases.size(); ++phase) {
    for (std::size_t model = 0; model < report.plan.models.size(); ++model) {
      const Figures& figures = report.phases[phase].figures.models[model];
      if (figures.latency.count() == 0) continue;
      names.push_back(SeriesName(report, phase, model));
      // Trials of a search may repeat a rate.
      if (std::count(names.begin(), names.end(), names.back()) > 1)
        absl::StrAppend(&names.back(), " (", phase + 1, ")");
      all.push_back(&figures);
    }
  }
  if (all.empty()) return {};
  json y = Field("y", "quantitative", "Texts in the bin");
  y["axis"] = {{"format", ".0%"}, {"tickCount", 5}};
  const std::string title = "Distribution of latencies";
  LineChart chart({.id = "distribution",
                   .title = title,
                   .description = "Share of texts by latency.",
                   .note = "Each step is a bin, and bins are equally wide on the logarithmic axis.",
                   .spec = {},
                   .legend = {},
                   .table = {title,
                             {{"Texts", false, ""},
                              {"Answered", true, ""},
                              {"p50 ms", true, ""},
                              {"p90 ms", true, ""},
                              {"p95 ms", true, ""},
                              {"p99 ms", true, ""},
                              {"p99.9 ms", true, ""},
                              {"Longest ms", true, ""}},
                             {}}},
                  names, LogAxis("Latency, ms (logarithmic)"), y);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Histogram& latency = all[i]->latency;
    const Histogram::Bins bins = latency.LogBins();
    for (std::size_t bin = 0; bin < bins.counts.size(); ++bin) {
      chart.Add(i, 1000 * bins.edges[bin],
                static_cast<double>(bins.counts[bin]) / static_cast<double>(latency.count()));
    }
    chart.Add(i, 1000 * bins.edges.back(), 0);
    std::vector<std::string> row = {names[i], report::Integer(latency.count())};
    for (const double share : {0.5, 0.9, 0.95, 0.99, 0.999}) row.push_back(MillisecondsText(latency.Quantile(share)));
    row.push_back(MillisecondsText(latency.Max()));
    chart.table().rows.push_back(std::move(row));
  }
  std::vector<Chart> charts;
  charts.push_back(chart.Finish({{"type", "line"}, {"interpolate", "step-after"}, {"strokeWidth", 2}}));
  return charts;
}

std::vector<Chart> RateCharts(const Report& report) {
  std::vector<std::pair<double, const PhaseFigures*>> rates;
  for (const PhaseResult& phase : report.phases) {
    const Phase& load = phase.figures.phase;
    if (phase.complete && load.open() && load.rate == load.rate_to) rates.emplace_back(load.rate, &phase.figures);
  }
  std::sort(rates.begin(), rates.end());
  if (rates.size() < 2) return {};
  const std::string axis = "Texts a second that were asked";
  Table table{"By rate",
              {{"Rate", true, axis},
               {"Answered/s", true, ""},
               {"Goodput/s", true, "answered well within the objective's limit"},
               {"p50 ms", true, ""},
               {"p95 ms", true, ""},
               {"p99 ms", true, ""}},
              {}};
  json log_y = Field("y", "quantitative", "Latency, ms (logarithmic)");
  log_y["scale"] = {{"type", "log"}, {"nice", false}};
  log_y["axis"] = {{"tickCount", 5}, {"format", "~g"}};
  LineChart latency({.id = "rate-latency",
                     .title = "Latency by rate",
                     .description = "p50, p95 and p99 by rate.",
                     .note = "",
                     .spec = {},
                     .legend = {},
                     .table = {}},
                    {std::begin(kQuantileNames), std::end(kQuantileNames)}, Field("x", "quantitative", axis), log_y);
  LineChart goodput({.id = "rate-goodput",
                     .title = "Goodput by rate",
                     .description = "Answers and good answers by rate.",
                     .note = "",
                     .spec = {},
                     .legend = {},
                     .table = {}},
                    {"answered", "good"}, Field("x", "quantitative", axis),
                    Field("y", "quantitative", "Texts a second"));
  for (const auto& [rate, phase] : rates) {
    const Figures all = phase->All();
    const Throughput throughput = ThroughputOf(*phase, all);
    std::vector<std::string> row = {absl::StrFormat("%.4g", rate), report::Fixed(throughput.texts, 1),
                                    report::Fixed(throughput.goodput, 1)};
    for (std::size_t k = 0; k < std::size(kQuantiles); ++k) {
      const absl::Duration quantile = all.latency.Quantile(kQuantiles[k]);
      if (all.latency.count() > 0) latency.Add(k, rate, Milliseconds(quantile));
      row.push_back(all.latency.count() > 0 ? MillisecondsText(quantile) : report::kMissing);
    }
    goodput.Add(0, rate, throughput.texts);
    goodput.Add(1, rate, throughput.goodput);
    table.rows.push_back(std::move(row));
  }
  latency.table() = goodput.table() = table;
  const json mark = {{"type", "line"}, {"strokeWidth", 2}, {"point", true}};
  std::vector<Chart> charts;
  charts.push_back(latency.Finish(mark));
  charts.push_back(goodput.Finish(mark));
  return charts;
}

}  // namespace petit::load
