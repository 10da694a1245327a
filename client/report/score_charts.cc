// Charts of scores, and of scores against costs.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "client/report/analysis.h"
#include "client/report/chart.h"
#include "client/report/format.h"

namespace petit::report {
namespace {

using nlohmann::json;

struct Metric {
  const char* id;
  const char* name;
  Score Result::*score;
};

constexpr Metric kMetrics[] = {{"bleu", "BLEU", &Result::bleu}, {"rouge-l", "ROUGE-L", &Result::rouge_l}};

json Number(std::optional<double> value) { return value ? json(*value) : json(nullptr); }

// What of the metric's axis the charts of both domains show.
json Extent(const Results& results, const Metric& metric) {
  double low = 100;
  double high = 0;
  for (const Result& result : results.results) {
    const Score& score = result.*metric.score;
    if (!score.score) continue;
    const Interval interval = IntervalOf(score).value_or(Interval{*score.score, *score.score});
    low = std::min({low, *score.score, interval.low});
    high = std::max({high, *score.score, interval.high});
  }
  const double room = std::max(0.5, 0.05 * (high - low));
  return json::array({std::max(0.0, low - room), std::min(100.0, high + room)});
}

std::string Low(const Score& score) {
  const std::optional<Interval> interval = IntervalOf(score);
  return interval ? Fixed(interval->low, 2) : kMissing;
}

std::string High(const Score& score) {
  const std::optional<Interval> interval = IntervalOf(score);
  return interval ? Fixed(interval->high, 2) : kMissing;
}

json ScoreRow(const std::string& model, const std::string& set, const Score& score) {
  json row = {{"model", model}, {"set", set}, {"score", Number(score.score)}};
  if (const std::optional<Interval> interval = IntervalOf(score)) {
    row["low"] = std::max(0.0, interval->low);
    row["high"] = std::min(100.0, interval->high);
  }
  return row;
}

std::optional<Chart> ScoreChart(const Results& results, const Metric& metric, bool out_of_domain) {
  const std::string domain = out_of_domain ? "out of domain" : "in domain";
  const std::string id = absl::StrCat(metric.id, out_of_domain ? "-out" : "-in");
  Table table{absl::StrCat(metric.name, ", ", domain),
              {{"Model", false, ""},
               {"Set", false, ""},
               {metric.name, true, ""},
               {"from", true, Confidence(results) + " interval"},
               {"to", true, Confidence(results) + " interval"}},
              {}};
  Series sets;
  json values = json::array();
  for (std::size_t i = 0; i < results.sets.size(); ++i) {
    const Set& set = results.sets[i];
    if (set.out_of_domain != out_of_domain) continue;
    bool any = false;
    for (const Model& model : results.models) {
      const Result* result = FindResult(results, model.name, set.name);
      if (result == nullptr || !(result->*metric.score).score) continue;
      const Score& score = result->*metric.score;
      any = true;
      values.push_back(ScoreRow(model.label, set.name, score));
      table.rows.push_back({model.label, set.name, Fixed(score.score, 2), Low(score), High(score)});
    }
    if (!any) continue;
    sets.names.push_back(set.name);
    sets.indexes.push_back(i);
  }
  if (values.empty()) return std::nullopt;
  const std::string description =
      absl::StrCat(metric.name, " of each model with its ", Confidence(results), " interval, ", domain);
  const std::size_t sets_there = sets.names.size();
  const std::size_t row_height = sets_there == 1 ? 28 : 10 + 16 * sets_there;
  json spec = BaseSpec(description, static_cast<int>(row_height * results.models.size()));
  spec["data"] = {{"values", values}};
  json y = Field("model", "nominal", "");
  y["title"] = nullptr;
  json labels = json::array();
  for (const Model& model : results.models) labels.push_back(model.label);
  y["sort"] = labels;
  json x = Field("score", "quantitative", metric.name);
  x["scale"] = {{"domain", Extent(results, metric)}, {"zero", false}, {"nice", false}};
  json color = Field("set", "nominal", "");
  color.update(ColorScale(sets));
  json shape = Field("set", "nominal", "");
  shape.update(ShapeScale(sets));
  spec["encoding"] = {{"y", y}, {"color", color}};
  if (sets_there > 1) spec["encoding"]["yOffset"] = {{"field", "set"}, {"sort", sets.names}};
  json low = x;
  low["field"] = "low";
  spec["layer"] = json::array(
      {{{"mark", {{"type", "rule"}, {"strokeWidth", 2}}}, {"encoding", {{"x", low}, {"x2", {{"field", "high"}}}}}},
       {{"mark", {{"type", "point"}, {"filled", true}, {"size", 70}, {"opacity", 1}}},
        {"encoding",
         {{"x", x},
          {"shape", shape},
          {"tooltip",
           {Field("model", "nominal", "model"), Field("set", "nominal", "set"),
            Field("score", "quantitative", metric.name), Field("low", "quantitative", "from"),
            Field("high", "quantitative", "to")}}}}}});
  std::vector<LegendEntry> legend;
  for (std::size_t i = 0; i < sets_there; ++i) legend.push_back({sets.names[i], sets.indexes[i], sets.indexes[i], {}});
  return Chart{id, absl::StrCat(metric.name, ", ", domain), description, "", spec, legend, table};
}

struct Axis {
  std::string id, title, cost, unit, note;
  bool more_is_better = false;
};

// A model's place on the plane of quality and a cost.
struct Placed {
  const Model* model;
  const Result* result;
  double cost;
  std::string cost_text;
  std::string ratio;
};

std::optional<Chart> TradeOff(const Results& results, const Axis& axis, const std::vector<Placed>& placed) {
  if (placed.size() < 2) return std::nullopt;
  std::vector<Point> points;
  points.reserve(placed.size());
  for (const Placed& at : placed) points.push_back({axis.more_is_better ? -at.cost : at.cost, *at.result->bleu.score});
  const std::vector<bool> front = ParetoFront(points);
  Table table{axis.title,
              {{"Model", false, ""},
               {axis.cost, true, ""},
               {"× teacher", true, axis.more_is_better ? "time to the teacher's" : "memory to the teacher's"},
               {"BLEU", true, ""},
               {"On the front", false, "no other model is as good and as cheap"}},
              {}};
  json values = json::array();
  for (std::size_t i = 0; i < placed.size(); ++i) {
    const Placed& at = placed[i];
    json row = ScoreRow(at.model->label, results.main_set, at.result->bleu);
    row["cost"] = at.cost;
    row["cost_text"] = at.cost_text;
    row["front"] = front[i] ? "yes" : "no";
    values.push_back(row);
    table.rows.push_back(
        {at.model->label, at.cost_text, at.ratio, ScoreText(at.result->bleu), front[i] ? "yes" : "no"});
  }
  const std::string description =
      absl::StrCat("BLEU on ", results.main_set, " against ", axis.cost, " for each model, with the Pareto front");
  json spec = BaseSpec(description, 300);
  spec["data"] = {{"values", values}};
  json x = Field("cost", "quantitative", absl::StrCat(axis.cost, axis.unit));
  x["scale"] = {{"type", "log"}, {"nice", false}, {"padding", 24}};
  x["axis"] = {{"tickCount", 4}, {"labelOverlap", "greedy"}, {"format", "~g"}, {"grid", false},
               {"ticks", true},  {"labelBound", true}};
  json y = Field("score", "quantitative", "BLEU");
  y["scale"] = {{"zero", false}, {"padding", 10}};
  json low = y;
  low["field"] = "low";
  const Series models = ModelSeries(results);
  json color = Field("model", "nominal", "");
  color.update(ColorScale(models));
  json shape = Field("model", "nominal", "");
  shape.update(ShapeScale(models));
  const json tooltip = {Field("model", "nominal", "model"), Field("cost_text", "nominal", axis.cost),
                        Field("score", "quantitative", "BLEU"), Field("front", "nominal", "on the front")};
  spec["layer"] = json::array(
      {{{"transform", {{{"filter", "datum.front === 'yes'"}}}},
        {"mark", {{"type", "line"}, {"strokeDash", {5, 4}}, {"strokeWidth", 1.5}, {"color", "var(--muted)"}}},
        {"encoding", {{"x", x}, {"y", y}}}},
       {{"mark", {{"type", "rule"}, {"strokeWidth", 1.5}, {"opacity", 0.6}}},
        {"encoding", {{"x", x}, {"y", low}, {"y2", {{"field", "high"}}}, {"color", color}}}},
       // Hollow is off the front.
       {{"mark", {{"type", "point"}, {"size", 110}, {"strokeWidth", 2}, {"opacity", 1}}},
        {"encoding",
         {{"x", x},
          {"y", y},
          {"color", color},
          {"shape", shape},
          {"fill", color},
          {"fillOpacity", {{"condition", {{"test", "datum.front === 'yes'"}, {"value", 1}}}, {"value", 0}}},
          {"tooltip", tooltip}}}}});
  std::vector<LegendEntry> legend;
  for (std::size_t i = 0; i < placed.size(); ++i) {
    const auto index = static_cast<std::size_t>(placed[i].model - results.models.data());
    legend.push_back({placed[i].model->label, index, index, {}, !front[i]});
  }
  return Chart{axis.id, axis.title, description, axis.note, spec, legend, table};
}

}  // namespace

std::vector<Chart> ScoreCharts(const Results& results) {
  std::vector<Chart> charts;
  for (const Metric& metric : kMetrics) {
    for (const bool out_of_domain : {false, true}) {
      if (std::optional<Chart> chart = ScoreChart(results, metric, out_of_domain)) charts.push_back(*std::move(chart));
    }
  }
  return charts;
}

std::vector<Chart> TradeOffCharts(const Results& results) {
  std::vector<Placed> by_bytes, by_speed;
  for (const Model& model : results.models) {
    const Result* result = FindResult(results, model.name, results.main_set);
    if (result == nullptr || !result->bleu.score) continue;
    if (model.bytes_in_memory && *model.bytes_in_memory > 0) {
      by_bytes.push_back({&model, result, 1e-6 * static_cast<double>(*model.bytes_in_memory),
                          Bytes(model.bytes_in_memory), Ratio(model.memory_ratio)});
    }
    const Speed* speed = FindSpeed(results, model.name, results.main_set);
    if (speed != nullptr && speed->median.sentences_per_second && *speed->median.sentences_per_second > 0) {
      by_speed.push_back({&model, result, *speed->median.sentences_per_second,
                          Fixed(speed->median.sentences_per_second, 1), Ratio(speed->time_ratio)});
    }
  }
  const std::string note =
      "The dashed line is the Pareto front: no other model is as good and as cheap. Hollow marks are off it.";
  std::vector<Chart> charts;
  std::optional<Chart> bytes = TradeOff(
      results, {"quality-bytes", "Quality against memory", "Memory", ", MB (logarithmic)", note, false}, by_bytes);
  if (bytes) charts.push_back(*std::move(bytes));
  std::optional<Chart> speed = TradeOff(
      results, {"quality-speed", "Quality against speed", "Sentences/s", " (logarithmic)", note, true}, by_speed);
  if (speed) charts.push_back(*std::move(speed));
  return charts;
}

}  // namespace petit::report
