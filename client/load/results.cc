#include "client/load/results.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

namespace petit::load {
namespace {

using nlohmann::json;

double Seconds(absl::Duration duration) { return absl::ToDoubleSeconds(duration); }

json OrNull(const std::string& text) { return text.empty() ? json() : json(text); }

std::string TimeText(absl::Time time) { return absl::FormatTime("%Y-%m-%d%ET%H:%M:%SZ", time, absl::UTCTimeZone()); }

json Quantiles(const Histogram& histogram) {
  if (histogram.count() == 0) return nullptr;
  return {{"p50", Seconds(histogram.Quantile(0.5))},    {"p90", Seconds(histogram.Quantile(0.9))},
          {"p95", Seconds(histogram.Quantile(0.95))},   {"p99", Seconds(histogram.Quantile(0.99))},
          {"p999", Seconds(histogram.Quantile(0.999))}, {"max", Seconds(histogram.Max())},
          {"mean", Seconds(histogram.Mean())}};
}

json FiguresOf(const PhaseFigures& phase, const Figures& figures, const json& model) {
  const Throughput throughput = ThroughputOf(phase, figures);
  json errors = json::array();
  for (const auto& [code, error] : figures.errors) {
    errors.push_back({{"code", code}, {"count", error.count}, {"message", error.example}});
  }
  const Histogram::Bins bins = figures.latency.LogBins();
  return {{"model", model},
          {"sent", figures.sent},
          {"not_sent", figures.not_sent},
          {"answered", figures.answered},
          {"good", figures.good},
          {"failed", figures.failed()},
          {"errors", errors},
          {"texts_per_second", throughput.texts},
          {"tokens_per_second", throughput.tokens},
          {"goodput", throughput.goodput},
          {"latency", Quantiles(figures.latency)},
          {"lag", Quantiles(figures.lag)},
          {"queue", Quantiles(figures.queue)},
          {"first_token", Quantiles(figures.first_token)},
          {"histogram", {{"edges", bins.edges}, {"counts", bins.counts}}}};
}

json PhaseOf(const Report& report, const PhaseResult& result) {
  const PhaseFigures& phase = result.figures;
  json verdicts = json::array();
  for (const Verdict& verdict : result.verdicts) {
    verdicts.push_back({{"term", verdict.term}, {"holds", verdict.holds}, {"why", verdict.why}});
  }
  json figures = json::array();
  figures.push_back(FiguresOf(phase, phase.All(), nullptr));
  for (std::size_t i = 0; i < phase.models.size(); ++i) {
    figures.push_back(FiguresOf(phase, phase.models[i], report.plan.models[i].name));
  }
  const bool open = phase.phase.open();
  return {{"load", Describe(phase.phase)},
          {"rate", open ? json(phase.phase.rate) : json()},
          {"rate_to", open ? json(phase.phase.rate_to) : json()},
          {"streams", open ? json() : json(phase.phase.streams)},
          {"complete", result.complete},
          {"start", Seconds(phase.start)},
          {"counted_from", Seconds(phase.counted_from)},
          {"end", Seconds(phase.end)},
          {"held", report.plan.objective.empty() ? json() : json(result.Holds())},
          {"verdicts", verdicts},
          {"figures", figures}};
}

json SeriesOf(const Report& report) {
  const double length = Seconds(report.series.length);
  json models = json::array();
  for (std::size_t i = 0; i < report.series.models.size(); ++i) {
    json points = json::array();
    for (std::size_t k = 0; k < report.series.models[i].size(); ++k) {
      const Interval& interval = report.series.models[i][k];
      const bool any = interval.latency.count() > 0;
      const auto quantile = [&](double share) {
        return any ? json(Seconds(interval.latency.Quantile(share))) : json();
      };
      std::int64_t failed = 0;
      json errors = json::object();
      for (const auto& [code, count] : interval.errors) {
        errors[code] = count;
        failed += count;
      }
      points.push_back({{"time", static_cast<double>(k) * length},
                        {"sent", interval.sent},
                        {"answered", interval.answered},
                        {"failed", failed},
                        {"tokens", interval.tokens},
                        {"errors", errors},
                        {"p50", quantile(0.5)},
                        {"p95", quantile(0.95)},
                        {"p99", quantile(0.99)}});
    }
    models.push_back({{"model", report.plan.models[i].name}, {"points", points}});
  }
  return {{"interval", length}, {"models", models}};
}

json SettingsOf(const Report& report) {
  const Plan& plan = report.plan;
  json terms = json::array();
  for (const Verdict& verdict :
       Judge(plan.objective, {.within = std::vector<std::int64_t>(plan.objective.latencies.size())})) {
    terms.push_back(verdict.term);
  }
  const absl::Duration good = plan.objective.GoodWithin();
  return {{"server", report.address},
          {"method", report.method},
          {"texts", report.texts},
          {"languages", report.languages},
          {"arrivals", plan.arrivals == Arrivals::kPoisson ? "poisson" : "constant"},
          {"seed", plan.seed},
          {"max_in_flight", plan.max_in_flight},
          {"objective", terms},
          {"good_within", good == absl::InfiniteDuration() ? json() : json(Seconds(good))}};
}

}  // namespace

Throughput ThroughputOf(const PhaseFigures& phase, const Figures& figures) {
  const double seconds = Seconds(phase.Counted());
  if (!(seconds > 0)) return {};
  return {.texts = static_cast<double>(figures.answers_in_window) / seconds,
          .tokens = static_cast<double>(figures.tokens_in_window) / seconds,
          .goodput = static_cast<double>(figures.good) / seconds};
}

std::string LagRemark(const Report& report) {
  Histogram lag;
  for (const PhaseResult& phase : report.phases) {
    if (phase.figures.phase.open()) lag.Merge(phase.figures.All().lag);
  }
  const absl::Duration p99 = lag.Quantile(0.99);
  if (p99 < absl::Milliseconds(10)) return "";
  return absl::StrFormat(
      "generator lag: 1 %% of the texts were sent %.0f ms late or more, %.0f ms at most: this machine or --stream "
      "could "
      "not keep up; latencies count it",
      absl::ToDoubleMilliseconds(p99), absl::ToDoubleMilliseconds(lag.Max()));
}

std::string FormatJson(const Report& report) {
  json models = json::array();
  for (const LoadedModel& model : report.models) {
    models.push_back({{"name", model.share.name},
                      {"weight", model.share.weight},
                      {"version", model.version},
                      {"digest", model.digest},
                      {"precision", OrNull(model.precision)},
                      {"executor", OrNull(model.executor)},
                      {"device", OrNull(model.device)}});
  }
  json phases = json::array();
  for (const PhaseResult& phase : report.phases) phases.push_back(PhaseOf(report, phase));
  json document = {{"schema", "petit.load/1"},
                   {"command", report.command},
                   {"started", TimeText(report.started)},
                   {"finished", TimeText(report.finished)},
                   {"interrupted", report.interrupted},
                   {"versions", {{"client", report.client_version}, {"server", nullptr}}},
                   {"hardware", nullptr},
                   {"settings", SettingsOf(report)},
                   {"models", models},
                   {"phases", phases},
                   {"search", nullptr},
                   {"series", SeriesOf(report)}};
  if (report.server) {
    document["versions"]["server"] = report.server->build;
    document["hardware"] = {{"cpu", report.server->cpu},
                            {"logical_cpus", report.server->logical_cpus},
                            {"memory_bytes", report.server->memory_bytes},
                            {"os", report.server->os}};
  }
  if (report.search) {
    document["search"] = {{"best", report.search->best ? json(*report.search->best) : json()},
                          {"broken", report.search->broken ? json(*report.search->broken) : json()}};
  }
  return document.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace petit::load
