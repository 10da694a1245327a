// The report as one HTML file.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/load/charts.h"
#include "client/load/results.h"
#include "client/report/format.h"
#include "client/report/page.h"
#include "client/report/table.h"

namespace petit::load {
namespace {

using report::Table;

std::string Milliseconds(const Histogram& histogram, double share) {
  return histogram.count() == 0 ? report::kMissing
                                : report::Milliseconds(absl::ToDoubleSeconds(histogram.Quantile(share)));
}

Table FiguresTable(const Report& report) {
  Table table{"Texts that counted, by phase and model",
              {{"Load", false, "what was asked"},
               {"Model", false, ""},
               {"Sent", true, ""},
               {"Answered", true, "well"},
               {"Failed", true, ""},
               {"Texts/s", true, "answered while the phase counted"},
               {"Tokens/s", true, "generated while the phase counted"},
               {"Goodput/s", true, "answered well within the objective's limit"},
               {"p50 ms", true, "from when a text was due"},
               {"p95 ms", true, ""},
               {"p99 ms", true, ""},
               {"p99.9 ms", true, ""},
               {"Queue p99 ms", true, "in the server's queue"},
               {"First token p50 ms", true, "the server's, from the text's arrival"},
               {"Lag p99 ms", true, "how late texts were sent"}},
              {}};
  const auto add = [&](const PhaseFigures& phase, const std::string& model, const Figures& figures) {
    const Throughput throughput = ThroughputOf(phase, figures);
    table.rows.push_back(
        {Describe(phase.phase), model, report::Integer(figures.sent), report::Integer(figures.answered),
         report::Integer(figures.failed()), report::Fixed(throughput.texts, 1), report::Fixed(throughput.tokens, 0),
         report::Fixed(throughput.goodput, 1), Milliseconds(figures.latency, 0.5), Milliseconds(figures.latency, 0.95),
         Milliseconds(figures.latency, 0.99), Milliseconds(figures.latency, 0.999), Milliseconds(figures.queue, 0.99),
         Milliseconds(figures.first_token, 0.5), Milliseconds(figures.lag, 0.99)});
  };
  for (const PhaseResult& phase : report.phases) {
    for (std::size_t i = 0; i < phase.figures.models.size(); ++i) {
      add(phase.figures, report.plan.models[i].name, phase.figures.models[i]);
    }
    if (phase.figures.models.size() > 1) add(phase.figures, "all", phase.figures.All());
  }
  return table;
}

Table ErrorTable(const Report& report) {
  Table table{"Failed texts",
              {{"Load", false, ""},
               {"Model", false, ""},
               {"Code", false, ""},
               {"Texts", true, ""},
               {"The first one's message", false, ""}},
              {}};
  for (const PhaseResult& phase : report.phases) {
    for (std::size_t i = 0; i < phase.figures.models.size(); ++i) {
      for (const auto& [code, error] : phase.figures.models[i].errors) {
        table.rows.push_back({Describe(phase.figures.phase), report.plan.models[i].name, code,
                              report::Integer(error.count), error.example});
      }
    }
  }
  return table;
}

Table VerdictTable(const Report& report) {
  Table table{
      "The objective", {{"Load", false, ""}, {"Term", false, ""}, {"Holds", false, ""}, {"Why", false, ""}}, {}};
  for (const PhaseResult& phase : report.phases) {
    for (const Verdict& verdict : phase.verdicts) {
      table.rows.push_back({Describe(phase.figures.phase), verdict.term, verdict.holds ? "yes" : "no", verdict.why});
    }
  }
  return table;
}

std::string Rfc3339(absl::Time time) { return absl::FormatTime("%Y-%m-%d%ET%H:%M:%SZ", time, absl::UTCTimeZone()); }

void AddHeader(const Report& report, report::PageBuilder& page) {
  page.BeginHeader("Load", "");
  page.Add("<dl class=\"facts\">\n");
  page.AddFact("Date", report::Period(Rfc3339(report.started), Rfc3339(report.finished)));
  std::vector<std::string> models;
  for (const LoadedModel& model : report.models) {
    models.push_back(
        absl::StrCat(model.share.name, " version ", model.version,
                     model.precision.empty() ? "" : absl::StrCat(", ", model.precision, " on ", model.device),
                     report.models.size() > 1 ? absl::StrFormat(", weight %g", model.share.weight) : ""));
  }
  page.AddFact("Models", absl::StrJoin(models, "; "));
  page.AddFact("Server", report.address);
  if (report.server) {
    page.AddFact("Hardware",
                 absl::StrCat(report.server->cpu, ", ", report.server->logical_cpus, " CPUs, ", report.server->os));
    page.AddFact("Versions", absl::StrCat("server ", report.server->build, ", client ", report.client_version));
  }
  page.AddFact("Texts", report.texts);
  page.AddFact("Languages", report.languages);
  page.AddFact("Method", report.method);
  if (report.plan.phases.front().open()) {
    page.AddFact("Arrivals", absl::StrCat(report.plan.arrivals == Arrivals::kPoisson ? "Poisson" : "constant",
                                          ", seed ", report.plan.seed));
  }
  if (!report.command.empty()) {
    page.Add(
        absl::StrCat("<div><dt>Command</dt><dd><code>", report::EscapeHtml(report.command), "</code></dd></div>\n"));
  }
  page.Add("</dl>\n");
  page.EndHeader();
}

void AddProblems(const Report& report, report::PageBuilder& page) {
  std::vector<std::string> problems;
  if (report.interrupted)
    problems.emplace_back("The run was interrupted; the figures are of what was sent until then.");
  if (const std::string lag = LagRemark(report); !lag.empty()) problems.push_back(lag);
  if (problems.empty()) return;
  page.Add(
      "<section class=\"problems\" aria-labelledby=\"problems-title\">\n<h2 "
      "id=\"problems-title\">Problems</h2>\n<ul>\n");
  for (const std::string& problem : problems) page.Add(absl::StrCat("<li>", report::EscapeHtml(problem), "</li>\n"));
  page.Add("</ul>\n</section>\n");
}

std::string SearchText(const SearchResult& search) {
  if (!search.best) return absl::StrFormat("No rate held; the lowest that was tried is %.4g texts/s.", *search.broken);
  return absl::StrFormat("The highest rate that held is %.4g texts/s", *search.best) +
         (search.broken ? absl::StrFormat("; %.4g broke.", *search.broken) : "; none broke.");
}

}  // namespace

std::string FormatHtml(const Report& report) {
  report::PageBuilder page;
  AddHeader(report, page);
  AddProblems(report, page);
  const std::string head = page.Take();
  page.Section("figures", "Figures");
  if (report.search) page.Add(absl::StrCat("<p>", SearchText(*report.search), "</p>\n"));
  page.Add(report::TableHtml(FiguresTable(report)));
  if (const Table table = VerdictTable(report); !table.rows.empty()) {
    page.Add(absl::StrCat("<div class=\"wrap\">", report::TableHtml(table), "</div>\n"));
  }
  const Table errors = ErrorTable(report);
  page.Add(errors.rows.empty() ? "<p class=\"note\">No text failed.</p>\n"
                               : absl::StrCat("<div class=\"wrap\">", report::TableHtml(errors), "</div>\n"));
  page.EndSection();
  const auto section = [&page](const char* id, const char* title, const std::vector<report::Chart>& charts) {
    if (charts.empty()) return;
    page.Section(id, title);
    page.AddCharts(charts);
    page.EndSection();
  };
  section("by-rate", "By rate", RateCharts(report));
  section("over-time", "Over time", ChartsOverTime(report));
  section("latencies", "Latencies", DistributionCharts(report));
  return page.Finish({.title = "Load", .style = "", .head = head, .made_by = "petit load"});
}

}  // namespace petit::load
