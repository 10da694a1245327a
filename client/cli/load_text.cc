#include "client/cli/load_text.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/progress.h"
#include "client/cli/table.h"
#include "client/load/results.h"

namespace petit::cli {
namespace {

using load::Figures;
using load::PhaseFigures;

constexpr auto kRight = Table::Align::kRight;

std::string Milliseconds(const load::Histogram& histogram, double share) {
  if (histogram.count() == 0) return "-";
  return absl::StrFormat("%.1f", absl::ToDoubleMilliseconds(histogram.Quantile(share)));
}

// The same for a live table, which is to fit into 80 columns.
std::string Short(const load::Histogram& histogram, double share) {
  if (histogram.count() == 0) return "-";
  const double milliseconds = absl::ToDoubleMilliseconds(histogram.Quantile(share));
  return absl::StrFormat("%.*f", milliseconds < 99.95 ? 1 : 0, milliseconds);
}

std::int64_t Sum(const std::map<std::string, std::int64_t>& errors) {
  std::int64_t sum = 0;
  for (const auto& [code, count] : errors) sum += count;
  return sum;
}

std::string ErrorList(const std::map<std::string, std::int64_t>& errors) {
  return absl::StrJoin(
      errors, ", ", [](std::string* out, const auto& error) { absl::StrAppend(out, error.first, " ", error.second); });
}

double PerSecond(std::int64_t count, absl::Duration length) {
  const double seconds = absl::ToDoubleSeconds(length);
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

load::Live::OfModel AllOf(const load::Live& live) {
  load::Live::OfModel all;
  for (const load::Live::OfModel& model : live.models) {
    all.sent += model.sent;
    all.answered += model.answered;
    all.in_flight += model.in_flight;
    for (const auto& [code, count] : model.errors) all.errors[code] += count;
    all.recent.Merge(model.recent);
  }
  return all;
}

// "a", "b" and, where there are several, "all".
template <typename AddRow>
void ForEachModel(const load::Plan& plan, const PhaseFigures& phase, const AddRow& add) {
  for (std::size_t i = 0; i < plan.models.size(); ++i) add(plan.models[i].name, phase.models[i]);
  if (plan.models.size() > 1) add(std::string("all"), phase.All());
}

std::string HeaderText(const load::Report& report) {
  std::string text;
  absl::StrAppend(&text, "server:   ", report.address);
  if (report.server) {
    absl::StrAppend(&text, ", petit ", report.server->build, ", ", report.server->cpu, ", ",
                    report.server->logical_cpus, " CPUs");
  }
  absl::StrAppend(&text, "\nclient:   petit ", report.client_version, ", ", report.method, "\n");
  for (const load::LoadedModel& model : report.models) {
    absl::StrAppend(&text, "model:    ", model.share.name, ", version ", model.version, ", ",
                    model.digest.substr(0, 12));
    if (!model.precision.empty()) {
      absl::StrAppend(&text, ", ", model.precision, " on ", model.device, " (", model.executor, ")");
    }
    if (report.models.size() > 1) absl::StrAppend(&text, ", weight ", model.share.weight);
    text += "\n";
  }
  absl::StrAppend(&text, "texts:    ", report.texts, ", ", report.languages, "\n");
  const load::Phase& phase = report.plan.phases.front();
  absl::StrAppend(&text, "load:     ",
                  !phase.open() ? "closed loop"
                  : report.plan.arrivals == load::Arrivals::kPoisson
                      ? absl::StrCat("open loop, Poisson arrivals, seed ", report.plan.seed)
                      : "open loop, constant arrivals");
  if (phase.duration != absl::InfiniteDuration()) absl::StrAppend(&text, ", ", absl::FormatDuration(phase.duration));
  if (phase.requests) absl::StrAppend(&text, ", ", *phase.requests, " texts");
  absl::StrAppend(&text, report.phases.size() > 1 ? " each" : "", " after ", absl::FormatDuration(phase.warmup),
                  " of warm-up\n\n");
  return text;
}

std::string ClientTable(const load::Report& report) {
  Table table({{.title = "LOAD"},
               {.title = "MODEL"},
               {.title = "SENT", .align = kRight},
               {.title = "ANSWERED", .align = kRight},
               {.title = "FAILED", .align = kRight},
               {.title = "TEXTS/S", .align = kRight},
               {.title = "GOODPUT", .align = kRight},
               {.title = "TOKENS/S", .align = kRight},
               {.title = "P50 MS", .align = kRight},
               {.title = "P90 MS", .align = kRight},
               {.title = "P95 MS", .align = kRight},
               {.title = "P99 MS", .align = kRight},
               {.title = "P99.9 MS", .align = kRight},
               {.title = "MAX MS", .align = kRight}});
  for (const load::PhaseResult& result : report.phases) {
    const PhaseFigures& phase = result.figures;
    ForEachModel(report.plan, phase, [&](const std::string& model, const Figures& figures) {
      const load::Throughput throughput = load::ThroughputOf(phase, figures);
      table.AddRow({Describe(phase.phase), model, absl::StrCat(figures.sent), absl::StrCat(figures.answered),
                    absl::StrCat(figures.failed()), absl::StrFormat("%.1f", throughput.texts),
                    absl::StrFormat("%.1f", throughput.goodput), absl::StrFormat("%.0f", throughput.tokens),
                    Milliseconds(figures.latency, 0.5), Milliseconds(figures.latency, 0.9),
                    Milliseconds(figures.latency, 0.95), Milliseconds(figures.latency, 0.99),
                    Milliseconds(figures.latency, 0.999), Milliseconds(figures.latency, 1)});
    });
  }
  return table.Format();
}

std::string ServerTable(const load::Report& report) {
  Table table({{.title = "LOAD"},
               {.title = "MODEL"},
               {.title = "QUEUE P50 MS", .align = kRight},
               {.title = "P99 MS", .align = kRight},
               {.title = "FIRST TOKEN P50 MS", .align = kRight},
               {.title = "P99 MS", .align = kRight},
               {.title = "GENERATOR LAG P50 MS", .align = kRight},
               {.title = "P99 MS", .align = kRight},
               {.title = "MAX MS", .align = kRight}});
  const auto precise = [](const load::Histogram& histogram, double share) {
    return histogram.count() == 0 ? "-"
                                  : absl::StrFormat("%.2f", absl::ToDoubleMilliseconds(histogram.Quantile(share)));
  };
  for (const load::PhaseResult& result : report.phases) {
    ForEachModel(report.plan, result.figures, [&](const std::string& model, const Figures& figures) {
      table.AddRow({Describe(result.figures.phase), model, Milliseconds(figures.queue, 0.5),
                    Milliseconds(figures.queue, 0.99), Milliseconds(figures.first_token, 0.5),
                    Milliseconds(figures.first_token, 0.99), precise(figures.lag, 0.5), precise(figures.lag, 0.99),
                    precise(figures.lag, 1)});
    });
  }
  return table.Format();
}

std::string ErrorText(const load::Report& report) {
  Table table({{.title = "LOAD"},
               {.title = "MODEL"},
               {.title = "ERROR"},
               {.title = "TEXTS", .align = kRight},
               {.title = "THE FIRST ONE'S MESSAGE"}});
  bool any = false;
  for (const load::PhaseResult& result : report.phases) {
    for (std::size_t i = 0; i < report.plan.models.size(); ++i) {
      for (const auto& [code, error] : result.figures.models[i].errors) {
        table.AddRow({Describe(result.figures.phase), report.plan.models[i].name, code, absl::StrCat(error.count),
                      error.example});
        any = true;
      }
    }
  }
  return any ? "\n" + table.Format() : "";
}

std::string VerdictText(const load::Report& report) {
  if (report.plan.objective.empty()) return "";
  Table table({{.title = "LOAD"}, {.title = "SLO"}, {.title = "HOLDS"}, {.title = "WHY"}});
  for (const load::PhaseResult& result : report.phases) {
    for (const load::Verdict& verdict : result.verdicts) {
      table.AddRow({Describe(result.figures.phase), verdict.term, verdict.holds ? "yes" : "no", verdict.why});
    }
  }
  return "\n" + table.Format();
}

}  // namespace

void LoadView::Update(load::Live live) {
  live_ = std::move(live);
  const load::Interval recent = AllOf(live_).recent;
  if (recent.latency.count() > 0) p99_.Add(updates_, absl::ToDoubleMilliseconds(recent.latency.Quantile(0.99)));
  ++updates_;
}

std::string LoadView::Where() const {
  std::string text;
  const std::size_t phases = plan_.phases.size();
  if (plan_.search) absl::StrAppend(&text, "trial ", live_.phase_number + 1, ", ");
  if (phases > 1) absl::StrAppend(&text, live_.phase_number + 1, " of ", phases, ", ");
  absl::StrAppend(&text, Describe(live_.phase), ", ", FormatRemaining(live_.in_phase));
  const absl::Duration length = live_.phase.warmup + live_.phase.duration;
  if (length != absl::InfiniteDuration() && !live_.ended) absl::StrAppend(&text, " of ", FormatRemaining(length));
  absl::StrAppend(&text, live_.ended ? ", waiting for answers" : live_.warming_up ? ", warming up" : "");
  return text;
}

std::vector<std::string> LoadView::Render(std::size_t columns) const {
  if (live_.models.empty()) return {"starting"};
  Table table({{.title = "MODEL"},
               {.title = "SENT", .align = kRight},
               {.title = "DONE", .align = kRight},
               {.title = "IN FLIGHT", .align = kRight},
               {.title = "FAILED", .align = kRight},
               {.title = "TEXTS/S", .align = kRight},
               {.title = "TOKENS/S", .align = kRight},
               {.title = "P50", .align = kRight},
               {.title = "P95", .align = kRight},
               {.title = "P99", .align = kRight}});
  const auto add = [&](const std::string& name, const load::Live::OfModel& model) {
    table.AddRow({name, absl::StrCat(model.sent), absl::StrCat(model.answered), absl::StrCat(model.in_flight),
                  absl::StrCat(Sum(model.errors)),
                  absl::StrFormat("%.1f", PerSecond(model.recent.answered, live_.recent_length)),
                  absl::StrFormat("%.0f", PerSecond(model.recent.tokens, live_.recent_length)),
                  Short(model.recent.latency, 0.5), Short(model.recent.latency, 0.95),
                  Short(model.recent.latency, 0.99)});
  };
  for (std::size_t i = 0; i < live_.models.size(); ++i) add(plan_.models[i].name, live_.models[i]);
  const load::Live::OfModel all = AllOf(live_);
  if (live_.models.size() > 1) add("all", all);
  std::vector<std::string> lines = {Where() + "; latencies in ms"};
  for (const absl::string_view line : absl::StrSplit(table.Format(), '\n', absl::SkipEmpty())) {
    lines.emplace_back(line);
  }
  if (!all.errors.empty()) lines.push_back("failed: " + ErrorList(all.errors));
  // All of this is ASCII, unlike the curve.
  for (std::string& line : lines) line.resize(std::min(line.size(), columns));
  const CurveRange range = p99_.Range();
  if (!range.empty) {
    const std::string scale = absl::StrFormat("p99 %.0f to %.0f ms ", range.low, range.high);
    if (columns > scale.size())
      lines.push_back(scale + p99_.Draw(std::min<std::size_t>(columns - scale.size(), 60), range));
  }
  return lines;
}

std::string LoadView::Line() const {
  if (live_.models.empty()) return "starting";
  const load::Live::OfModel all = AllOf(live_);
  std::string text = absl::StrCat(Where(), ": sent ", all.sent, ", done ", all.answered, ", in flight ", all.in_flight);
  if (!all.errors.empty()) absl::StrAppend(&text, ", failed ", Sum(all.errors), " (", ErrorList(all.errors), ")");
  absl::StrAppendFormat(&text, "; now %.1f texts/s, %.0f tokens/s", PerSecond(all.recent.answered, live_.recent_length),
                        PerSecond(all.recent.tokens, live_.recent_length));
  if (all.recent.latency.count() > 0) {
    absl::StrAppend(&text, ", p50 ", Milliseconds(all.recent.latency, 0.5), " p95 ",
                    Milliseconds(all.recent.latency, 0.95), " p99 ", Milliseconds(all.recent.latency, 0.99), " ms");
  }
  return text;
}

std::string FormatTrial(const load::PhaseResult& trial) {
  const Figures all = trial.figures.All();
  std::string text = absl::StrCat(Describe(trial.figures.phase), ": ");
  if (!trial.complete) return text + "interrupted";
  absl::StrAppend(&text, "p50 ", Milliseconds(all.latency, 0.5), " p99 ", Milliseconds(all.latency, 0.99), " ms, ",
                  all.failed(), " failed; ");
  if (trial.Holds()) return text + "holds";
  std::vector<std::string> broken;
  for (const load::Verdict& verdict : trial.verdicts) {
    if (!verdict.holds) broken.push_back(absl::StrCat(verdict.term, ": ", verdict.why));
  }
  return absl::StrCat(text, "breaks ", absl::StrJoin(broken, "; "));
}

std::string FormatLoad(const load::Report& report) {
  std::string text = absl::StrCat(HeaderText(report), ClientTable(report), "\n", ServerTable(report), ErrorText(report),
                                  VerdictText(report));
  if (const std::string lag = load::LagRemark(report); !lag.empty()) absl::StrAppend(&text, "\n", lag, "\n");
  if (report.search) {
    if (report.search->best) {
      absl::StrAppendFormat(&text, "\nthe highest rate that holds: %.4g texts/s", *report.search->best);
      text += report.search->broken ? absl::StrFormat(" (%.4g does not)\n", *report.search->broken) : "\n";
    } else {
      absl::StrAppendFormat(&text, "\nno rate holds; the lowest that was tried is %.4g texts/s\n",
                            *report.search->broken);
    }
  }
  return text;
}

}  // namespace petit::cli
