// Charts of a distillation by step. No total of the losses is drawn: totals of different alphas are not comparable.
#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "client/report/analysis.h"
#include "client/report/chart.h"
#include "client/report/format.h"

namespace petit::report {
namespace {

using nlohmann::json;

// "alpha-0.5 (α 0.5)", or the arm's name alone where that says it.
std::string ArmLabel(const Arm& arm) {
  if (!arm.alpha) return arm.arm;
  const std::string alpha = absl::StrCat(*arm.alpha);
  return arm.arm == "alpha-" + alpha ? "α = " + alpha : absl::StrCat(arm.arm, " (α = ", alpha, ")");
}

std::string ArmLabel(const Job& job, const std::string& arm) {
  const auto at = std::find_if(job.arms.begin(), job.arms.end(), [&](const Arm& a) { return a.arm == arm; });
  return at == job.arms.end() ? arm : ArmLabel(*at);
}

// A model that an arm became has the same colour in the charts of models.
Series ArmSeries(const Results& results, const Job& job) {
  Series series;
  std::size_t next = results.models.size();
  const auto put = [&](const std::string& name, const std::string& model) {
    if (std::find(series.names.begin(), series.names.end(), name) != series.names.end()) return;
    const Model* found = FindModel(results, model);
    series.names.push_back(name);
    series.indexes.push_back(found == nullptr ? next++ : static_cast<std::size_t>(found - results.models.data()));
  };
  for (const Arm& arm : job.arms) put(ArmLabel(arm), arm.model);
  for (const CurvePoint& point : job.curves) put(ArmLabel(job, point.arm), "");
  for (const DevPoint& point : job.dev) put(ArmLabel(job, point.arm), "");
  return series;
}

std::vector<std::string> DevSets(const Job& job, bool in_domain_only) {
  std::vector<std::string> sets;
  for (const DevPoint& point : job.dev) {
    if (in_domain_only && point.out_of_domain) continue;
    if (std::find(sets.begin(), sets.end(), point.set) == sets.end()) sets.push_back(point.set);
  }
  return sets;
}

// Figures by step and by what they are figures of, as a table with a row for each step.
class Steps {
 public:
  void Put(std::int64_t step, const std::string& column, const std::string& value) {
    if (std::find(columns_.begin(), columns_.end(), column) == columns_.end()) columns_.push_back(column);
    rows_[step][column] = value;
  }

  [[nodiscard]] Table Make(const std::string& caption) const {
    Table table{caption, {{"Step", true, ""}}, {}};
    for (const std::string& column : columns_) table.columns.push_back({column, true, ""});
    for (const auto& [step, values] : rows_) {
      std::vector<std::string> row = {Integer(step)};
      for (const std::string& column : columns_) {
        const auto at = values.find(column);
        row.push_back(at == values.end() ? "" : at->second);
      }
      table.rows.push_back(std::move(row));
    }
    return table;
  }

 private:
  std::vector<std::string> columns_;
  std::map<std::int64_t, std::map<std::string, std::string>> rows_;
};

json StepAxis() {
  json x = Field("step", "quantitative", "Step");
  x["scale"] = {{"nice", false}};
  x["axis"] = {{"tickCount", 5}, {"format", ",d"}};
  return x;
}

struct LossKind {
  const char* id;
  const char* name;
  const char* axis;
  std::optional<double> CurvePoint::*curve;
  std::optional<double> DevPoint::*dev;
};

constexpr LossKind kLosses[] = {
    {"ce", "Cross-entropy", "Cross-entropy, nats per token", &CurvePoint::cross_entropy, &DevPoint::cross_entropy},
    {"kl", "KL divergence from the teacher", "KL, nats per token", &CurvePoint::kl, &DevPoint::kl}};

std::optional<Chart> LossChart(const Results& results, const Job& job, const std::string& id, const LossKind& kind) {
  json values = json::array();
  Steps steps;
  Series lines;
  const auto put = [&](std::int64_t step, const std::string& arm, const std::string& what, double value) {
    values.push_back({{"step", step}, {"arm", ArmLabel(job, arm)}, {"what", what}, {"value", value}});
    steps.Put(step, absl::StrCat(ArmLabel(job, arm), ", ", what), Fixed(value, 3));
    if (std::find(lines.names.begin(), lines.names.end(), what) != lines.names.end()) return;
    lines.names.push_back(what);
    lines.indexes.push_back(lines.indexes.size());
  };
  for (const CurvePoint& point : job.curves) {
    if (const std::optional<double> value = point.*kind.curve) put(point.step, point.arm, "training", *value);
  }
  for (const DevPoint& point : job.dev) {
    const std::optional<double> value = point.*kind.dev;
    if (value && !point.out_of_domain) put(point.step, point.arm, "dev " + point.set, *value);
  }
  if (values.empty()) return std::nullopt;
  const std::string description = absl::StrCat(kind.name, " by step, a line for each alpha, ", job.experiment);
  json spec = BaseSpec(description, 260);
  spec["data"] = {{"values", values}};
  json y = Field("value", "quantitative", kind.axis);
  y["scale"] = {{"zero", false}};
  const Series arms = ArmSeries(results, job);
  json color = Field("arm", "nominal", "");
  color.update(ColorScale(arms));
  json shape = Field("arm", "nominal", "");
  shape.update(ShapeScale(arms));
  json dash = Field("what", "nominal", "");
  dash.update(DashScale(lines));
  spec["encoding"] = {{"x", StepAxis()}, {"y", y}, {"color", color}};
  spec["layer"] =
      json::array({{{"mark", {{"type", "line"}, {"strokeWidth", 1.8}}}, {"encoding", {{"strokeDash", dash}}}},
                   {{"transform", {{{"filter", "datum.what !== 'training'"}}}},
                    {"mark", {{"type", "point"}, {"filled", true}, {"size", 45}, {"opacity", 1}}},
                    {"encoding",
                     {{"shape", shape},
                      {"tooltip",
                       {Field("arm", "nominal", "arm"), Field("what", "nominal", "of"),
                        Field("step", "quantitative", "step"), Field("value", "quantitative", "nats")}}}}}});
  std::vector<LegendEntry> legend;
  for (std::size_t i = 0; i < arms.names.size(); ++i)
    legend.push_back({arms.names[i], arms.indexes[i], arms.indexes[i], {}});
  for (std::size_t i = 0; i < lines.names.size(); ++i) legend.push_back({lines.names[i], {}, {}, lines.indexes[i]});
  return Chart{absl::StrCat(id, "-", kind.id),
               absl::StrCat(kind.name, " by step"),
               description,
               "",
               spec,
               legend,
               steps.Make(absl::StrCat(kind.name, " by step, nats per target token"))};
}

std::optional<Chart> DevChart(const Results& results, const Job& job, const std::string& id) {
  const std::vector<std::string> sets = DevSets(job, false);
  json values = json::array();
  json marks = json::array();
  Steps steps;
  const std::string kByLoss = "best by loss";
  const std::string kByBleu = "best by BLEU";
  const Series arms = ArmSeries(results, job);
  std::map<std::size_t, std::string> best;  // what the tables say beside the figure
  for (const Arm& arm : job.arms) {
    for (const std::string& set : sets) {
      const BestSteps found = FindBestSteps(job, arm.arm, set);
      const auto mark = [&](std::size_t at, const std::string& what) {
        if (!job.dev[at].bleu) return;
        marks.push_back({{"step", job.dev[at].step},
                         {"arm", ArmLabel(arm)},
                         {"set", set},
                         {"bleu", *job.dev[at].bleu},
                         {"mark", what}});
        best[at] += best[at].empty() ? " (" + what : ", " + what;
      };
      if (found.by_loss) mark(*found.by_loss, kByLoss);
      if (found.by_bleu) mark(*found.by_bleu, kByBleu);
    }
  }
  for (std::size_t i = 0; i < job.dev.size(); ++i) {
    const DevPoint& point = job.dev[i];
    if (!point.bleu) continue;
    const std::string arm = ArmLabel(job, point.arm);
    const std::string set = point.set + (point.out_of_domain ? " (out of domain)" : "");
    values.push_back({{"step", point.step}, {"arm", arm}, {"set", point.set}, {"bleu", *point.bleu}});
    steps.Put(point.step, absl::StrCat(arm, ", ", set),
              Fixed(point.bleu, 2) + (best.count(i) > 0 ? best[i] + ")" : ""));
  }
  if (values.empty()) return std::nullopt;
  const std::string description =
      absl::StrCat("BLEU on the dev sets by step, a line for each alpha and set, best steps marked, ", job.experiment);
  json spec = BaseSpec(description, 260);
  json y = Field("bleu", "quantitative", "Dev BLEU");
  y["scale"] = {{"zero", false}};
  json color = Field("arm", "nominal", "");
  color.update(ColorScale(arms));
  Series lines{sets, {}};
  for (std::size_t i = 0; i < sets.size(); ++i) lines.indexes.push_back(i);
  json dash = Field("set", "nominal", "");
  dash.update(DashScale(lines));
  json shape = Field("mark", "nominal", "");
  shape.update(ShapeScale({{kByLoss, kByBleu}, {2, 0}}));
  spec["encoding"] = {{"x", StepAxis()}, {"y", y}, {"color", color}};
  spec["layer"] = json::array(
      {{{"data", {{"values", values}}},
        {"mark", {{"type", "line"}, {"strokeWidth", 1.8}, {"point", {{"size", 18}, {"filled", true}}}}},
        {"encoding",
         {{"strokeDash", dash},
          {"tooltip",
           {Field("arm", "nominal", "arm"), Field("set", "nominal", "set"), Field("step", "quantitative", "step"),
            Field("bleu", "quantitative", "BLEU")}}}}},
       {{"data", {{"values", marks}}},
        {"mark", {{"type", "point"}, {"filled", false}, {"size", 150}, {"strokeWidth", 2}, {"opacity", 1}}},
        {"encoding",
         {{"shape", shape},
          {"tooltip",
           {Field("mark", "nominal", "mark"), Field("arm", "nominal", "arm"), Field("set", "nominal", "set"),
            Field("step", "quantitative", "step"), Field("bleu", "quantitative", "BLEU")}}}}}});
  std::vector<LegendEntry> legend;
  for (std::size_t i = 0; i < arms.names.size(); ++i) legend.push_back({arms.names[i], arms.indexes[i], {}, 0});
  for (std::size_t i = 0; i < sets.size(); ++i) legend.push_back({sets[i], {}, {}, i});
  legend.push_back({kByLoss, {}, 2, {}, true});
  legend.push_back({kByBleu, {}, 0, {}, true});
  return Chart{absl::StrCat(id, "-dev"),
               "Dev BLEU by step",
               description,
               "Triangles: the step of least dev loss, α·KL + (1 − α)·CE; circles: of highest dev BLEU.",
               spec,
               legend,
               steps.Make("Dev BLEU by step")};
}

}  // namespace

std::vector<Chart> TrainingCharts(const Results& results, const Job& job, const std::string& id) {
  std::vector<Chart> charts;
  for (const LossKind& kind : kLosses) {
    if (std::optional<Chart> chart = LossChart(results, job, id, kind)) charts.push_back(*std::move(chart));
  }
  if (std::optional<Chart> chart = DevChart(results, job, id)) charts.push_back(*std::move(chart));
  return charts;
}

}  // namespace petit::report
