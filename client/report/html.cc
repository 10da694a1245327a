// The report as one HTML file.
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/report/analysis.h"
#include "client/report/assets.h"
#include "client/report/chart.h"
#include "client/report/format.h"
#include "client/report/report.h"
#include "client/report/table.h"
#include "client/report/word_diff.h"

namespace petit::report {
namespace {

constexpr std::size_t kMaxExamples = 10;
constexpr std::size_t kMaxFailures = 50;  // of a model on a set
constexpr std::size_t kLongTable = 5;     // rows; a chart's table beyond is folded

class Page {
 public:
  explicit Page(const Results& results) : results_(results) {}

  std::string Format();

 private:
  void Add(const std::string& html) { body_ += html; }
  // Begins a section, which the contents list.
  void Section(const std::string& id, const std::string& title);
  void EndSection() { Add("</section>\n"); }
  void Head();
  void Facts();
  void AddFact(const std::string& name, const std::string& value);
  void AddAnswer();
  void AddProblems();
  void AddSummary();
  void AddCharts(const std::vector<Chart>& charts);
  void AddChartSections();
  void AddExamples();
  void AddExample(const Example& example);
  void AddHypothesis(const Example& example, const Hypothesis& hypothesis, const std::string& language);
  void AddDetails();
  void AddJobs();
  void AddMethod();
  [[nodiscard]] std::string Contents() const;
  [[nodiscard]] std::string Footer() const;
  [[nodiscard]] std::string Scripts() const;

  const Results& results_;
  std::string body_;
  nlohmann::json charts_ = nlohmann::json::array();
  std::vector<std::pair<std::string, std::string>> sections_;  // ids and titles
};

std::string TitleOf(const Results& results) {
  return !results.title.empty() ? results.title : !results.name.empty() ? results.name : "Evaluation";
}

// JSON that a script element can hold.
std::string ScriptJson(const nlohmann::json& json) {
  return absl::StrReplaceAll(json.dump(), {{"<", "\\u003c"}, {"\xE2\x80\xA8", "\\u2028"}, {"\xE2\x80\xA9", "\\u2029"}});
}

std::string Folded(const std::string& summary, const std::string& html) {
  return absl::StrCat("<details><summary>", EscapeHtml(summary), "</summary>\n", html, "</details>\n");
}

void Page::Section(const std::string& id, const std::string& title) {
  sections_.emplace_back(id, title);
  Add(absl::StrCat("<section id=\"", id, "\" aria-labelledby=\"", id, "-title\">\n<h2 id=\"", id, "-title\">",
                   EscapeHtml(title), "</h2>\n"));
}

void Page::AddFact(const std::string& name, const std::string& value) {
  if (value.empty()) return;
  Add(absl::StrCat("<div><dt>", name, "</dt><dd>", EscapeHtml(value), "</dd></div>\n"));
}

void Page::Facts() {
  const Hardware& hardware = results_.hardware;
  std::vector<std::string> machine;
  if (!hardware.cpu.empty()) machine.push_back(hardware.cpu);
  if (hardware.logical_cpus) machine.push_back(absl::StrCat(*hardware.logical_cpus, " CPUs"));
  if (hardware.memory_bytes) machine.push_back(Bytes(hardware.memory_bytes));
  if (!hardware.os.empty()) machine.push_back(hardware.os);
  const Versions& versions = results_.versions;
  std::vector<std::string> software;
  if (!versions.server.empty()) software.push_back("server " + versions.server);
  if (!versions.client.empty()) software.push_back("client " + versions.client);
  if (!versions.git_revision.empty()) software.push_back("revision " + versions.git_revision.substr(0, 12));
  Add("<dl class=\"facts\">\n");
  AddFact("Date", Period(results_.started, results_.finished));
  AddFact("Hardware", absl::StrJoin(machine, ", "));
  AddFact("Versions", absl::StrJoin(software, ", "));
  if (!results_.command.empty()) {
    Add(absl::StrCat("<div><dt>Command</dt><dd><code>", EscapeHtml(results_.command), "</code></dd></div>\n"));
  }
  Add("</dl>\n");
}

void Page::Head() {
  if (const Stamp stamp = StampOf(results_); !stamp.text.empty()) {
    Add(absl::StrCat("<div class=\"watermark\" aria-hidden=\"true\">", stamp.text,
                     "</div>\n<p class=\"stamp\" role=\"note\">", stamp.text, ": ", stamp.meaning, ".</p>\n"));
  }
  Add(absl::StrCat("<header>\n<div class=\"bar\"><div><h1>", EscapeHtml(TitleOf(results_)), "</h1></div>",
                   "<button type=\"button\" id=\"theme\" hidden>Light or dark</button></div>\n"));
  if (!results_.description.empty()) {
    Add(absl::StrCat("<p class=\"lead\">", EscapeHtml(results_.description), "</p>\n"));
  }
  Facts();
  Add("</header>\n<main>\n");
}

void Page::AddAnswer() {
  const Answer answer = AnswerOf(results_);
  Add("<section class=\"answer\" aria-labelledby=\"answer-title\">\n<h2 id=\"answer-title\">What did distillation cost "
      "and "
      "lose, what did quantization, against the teacher, and which should one take?</h2>\n");
  for (const std::string& sentence : {answer.distillation, answer.quantization, answer.choice}) {
    const std::size_t colon = sentence.find(':');
    Add(absl::StrCat("<p><strong>", EscapeHtml(sentence.substr(0, colon + 1)), "</strong>",
                     EscapeHtml(sentence.substr(colon + 1)), "</p>\n"));
  }
  Add("</section>\n");
}

void Page::AddProblems() {
  if (results_.problems.empty()) return;
  Add("<section class=\"problems\" aria-labelledby=\"problems-title\">\n<h2 "
      "id=\"problems-title\">Problems</h2>\n<ul>\n");
  for (const std::string& problem : results_.problems) Add(absl::StrCat("<li>", EscapeHtml(problem), "</li>\n"));
  Add("</ul>\n</section>\n");
}

void Page::AddSummary() {
  Section("summary", "Summary");
  Add(TableHtml(SummaryTable(results_)));
  if (!results_.baseline.empty()) {
    Add(absl::StrCat("<p class=\"note\">p: paired bootstrap against ", EscapeHtml(LabelOf(results_, results_.baseline)),
                     "; ± is half of the ", Confidence(results_), " interval.</p>\n"));
  }
  Add(TableHtml(ModelTable(results_)));
  EndSection();
}

void Page::AddCharts(const std::vector<Chart>& charts) {
  Add("<div class=\"charts\">\n");
  for (const Chart& chart : charts) {
    charts_.push_back({{"id", chart.id}, {"spec", chart.spec}});
    Add(absl::StrCat("<figure aria-labelledby=\"", chart.id, "-title\">\n<div class=\"plot\"><h3 id=\"", chart.id,
                     "-title\">", EscapeHtml(chart.title), "</h3>"));
    if (!chart.note.empty()) Add(absl::StrCat("<p class=\"note\">", EscapeHtml(chart.note), "</p>"));
    Add(absl::StrCat("\n<div class=\"chart\" id=\"", chart.id, "\" role=\"img\" aria-label=\"",
                     EscapeHtml(chart.description), "\"></div>\n", LegendHtml(chart.legend), "</div>\n"));
    const std::string table = TableHtml(chart.table);
    Add(chart.table.rows.size() > kLongTable
            ? Folded(absl::StrCat("The numbers, ", chart.table.rows.size(), " rows"), table)
            : table);
    Add("</figure>\n");
  }
  Add("</div>\n");
}

void Page::AddChartSections() {
  const auto section = [&](const std::string& id, const std::string& title, const std::string& note,
                           const std::vector<Chart>& charts) {
    if (charts.empty()) return;
    Section(id, title);
    if (!note.empty()) Add(absl::StrCat("<p class=\"note\">", EscapeHtml(note), "</p>\n"));
    AddCharts(charts);
    EndSection();
  };
  section("scores", "Scores by model", absl::StrCat("Lines are ", Confidence(results_), " intervals."),
          ScoreCharts(results_));
  for (std::size_t i = 0; i < results_.jobs.size(); ++i) {
    const Job& job = results_.jobs[i];
    const std::string id = absl::StrCat("job-", i);
    section(id, absl::StrCat("Training: ", job.experiment.empty() ? job.name : job.experiment),
            "Cross-entropy and KL stand apart: totals at different alphas are not comparable.",
            TrainingCharts(results_, job, id));
  }
  section("trade-offs", "Quality against cost", "", TradeOffCharts(results_));
  section("latency", "Latency", "", LatencyCharts(results_));
}

void Page::AddHypothesis(const Example& example, const Hypothesis& hypothesis, const std::string& language) {
  Add(absl::StrCat("<div class=\"hypothesis\"><h4>", EscapeHtml(LabelOf(results_, hypothesis.model)), "<span>",
                   hypothesis.bleu ? "BLEU " + Fixed(hypothesis.bleu, 1) : "", "</span></h4>\n<p", language, ">"));
  Span before = Span::kSame;
  for (const DiffPart& part : DiffWords(hypothesis.text, example.reference)) {
    const std::size_t space = part.text.find_first_not_of(" \t\n\r\v\f");
    const std::string text = EscapeHtml(part.text.substr(space));
    // The first words of both texts have no space before them.
    if (space > 0 || (part.span != Span::kSame && before != Span::kSame)) Add(" ");
    before = part.span;
    if (part.span == Span::kSame) Add(text);
    if (part.span == Span::kExtra) Add(absl::StrCat("<mark>", text, "</mark>"));
    if (part.span == Span::kMissing) Add(absl::StrCat("<del>", text, "</del>"));
  }
  Add("</p></div>\n");
}

void Page::AddExample(const Example& example) {
  const Set* set = FindSet(results_, example.set);
  const auto lang = [](const std::string& language) {
    return language.empty() ? "" : absl::StrCat(" lang=\"", EscapeHtml(language), "\"");
  };
  const std::string source = lang(set == nullptr ? "" : set->source_language);
  const std::string target = lang(set == nullptr ? "" : set->target_language);
  Add(absl::StrCat("<article class=\"example\"><h3>", EscapeHtml(example.set), ", line ", Integer(example.line),
                   "</h3>\n<dl><dt>Source</dt><dd", source, ">", EscapeHtml(example.source),
                   "</dd><dt>Reference</dt><dd", target, ">", EscapeHtml(example.reference), "</dd></dl>\n",
                   "<div class=\"hypotheses\">\n"));
  for (const Hypothesis& hypothesis : example.hypotheses) AddHypothesis(example, hypothesis, target);
  Add("</div></article>\n");
}

void Page::AddExamples() {
  if (results_.examples.empty()) return;
  Section("examples", "Where the models differ most");
  Add("<p class=\"note\">Beside the reference: <mark>words that it does not have</mark>, and <del>words of it that are "
      "not "
      "there</del>.</p>\n");
  for (std::size_t i = 0; i < results_.examples.size() && i < kMaxExamples; ++i) AddExample(results_.examples[i]);
  EndSection();
}

void Page::AddDetails() {
  Section("details", "All figures");
  for (const Set& set : results_.sets) {
    const Table table = QualityTable(results_, set);
    if (!table.rows.empty()) Add(TableHtml(table));
  }
  if (!results_.speeds.empty()) Add(TableHtml(SpeedTable(results_)));
  if (!results_.sets.empty()) Add(absl::StrCat("<div class=\"wrap\">", TableHtml(SetTable(results_)), "</div>\n"));
  const Table failures = FailureTable(results_, kMaxFailures);
  if (!failures.rows.empty()) {
    const std::string table = absl::StrCat("<div class=\"wrap\">", TableHtml(failures), "</div>\n");
    Add(failures.rows.size() > kLongTable
            ? Folded(absl::StrCat("Failed sentences, ", failures.rows.size(), " rows"), table)
            : table);
  }
  EndSection();
}

void Page::AddJobs() {
  if (results_.jobs.empty()) return;
  Section("jobs", "Distillations");
  for (const Job& job : results_.jobs) {
    Table table{absl::StrCat(job.experiment, job.name.empty() ? "" : " (" + job.name + ")", ": ", job.state, ", ",
                             Seconds(job.seconds)),
                {{"Arm", false, ""}, {"Alpha", true, ""}, {"Learning rate", true, ""}, {"Model", false, ""}},
                {}};
    for (const Arm& arm : job.arms) {
      table.rows.push_back({arm.arm, arm.alpha ? absl::StrCat(*arm.alpha) : kMissing,
                            arm.learning_rate ? absl::StrCat(*arm.learning_rate) : kMissing,
                            arm.model.empty() ? kMissing : LabelOf(results_, arm.model)});
    }
    Add(TableHtml(table));
    if (!job.spec.empty()) Add(Folded("Its specification", absl::StrCat("<pre>", EscapeHtml(job.spec), "</pre>\n")));
  }
  EndSection();
}

void Page::AddMethod() {
  const Settings& settings = results_.settings;
  const auto number = [](std::optional<std::int64_t> value) { return value ? Integer(value) : std::string(); };
  Section("method", "How it was measured");
  Add("<dl class=\"facts\">\n");
  AddFact("Decoding", settings.decoding);
  AddFact("Texts in flight for quality", number(settings.concurrency));
  AddFact("Texts in flight for speed", number(settings.speed_concurrency));
  AddFact("Passes for speed", number(settings.repeats));
  AddFact("Bootstrap samples", number(settings.bootstrap_samples));
  AddFact("Seed", settings.seed ? absl::StrCat(*settings.seed) : "");
  AddFact("Confidence", Confidence(results_));
  AddFact("BLEU", results_.signatures.bleu);
  AddFact("chrF2", results_.signatures.chrf2);
  AddFact("ROUGE-L", results_.signatures.rouge_l);
  AddFact("ROUGE-L, Unicode words", results_.signatures.rouge_l_unicode);
  Add("</dl>\n");
  EndSection();
}

std::string Page::Contents() const {
  std::string html = "<nav aria-label=\"Contents\"><ul>\n";
  for (const auto& [id, title] : sections_) {
    absl::StrAppend(&html, "<li><a href=\"#", id, "\">", EscapeHtml(title), "</a></li>\n");
  }
  return html + "</ul></nav>\n";
}

std::string Page::Footer() const {
  const std::string versions(VegaVersions());
  return absl::StrCat("<footer><p>Made by petit report. Charts by ", EscapeHtml(versions),
                      ", which are inside this file; their licences are in its source. Nothing is loaded from "
                      "elsewhere.</p></footer>\n");
}

std::string Page::Scripts() const {
  if (charts_.empty())
    return absl::StrCat("<script type=\"application/json\" id=\"charts\">[]</script>\n", "<script type=\"module\">\n",
                        std::string(PageJs()), "</script>\n");
  const std::string bundle = absl::StrReplaceAll(absl::string_view(VegaBundleJs().data(), VegaBundleJs().size()),
                                                 {{"</script", "<\\/script"}, {"<!--", "<\\!--"}});
  return absl::StrCat("<!--\n", std::string(VegaLicenses()), "-->\n<script type=\"module\">", bundle, "</script>\n",
                      "<script type=\"application/json\" id=\"charts\">", ScriptJson(charts_),
                      "</script>\n<script type=\"module\">\n", std::string(PageJs()), "</script>\n");
}

std::string Page::Format() {
  AddSummary();
  AddChartSections();
  AddExamples();
  AddDetails();
  AddJobs();
  AddMethod();
  const std::string sections = std::exchange(body_, "");
  Head();
  AddAnswer();
  AddProblems();
  const std::string head = std::exchange(body_, "");
  std::string style(StyleCss());
  const Stamp stamp = StampOf(results_);
  if (!stamp.text.empty()) {
    absl::StrAppend(&style, "@page { @top-center { content: \"", stamp.text,
                    "\"; color: #a4161a; font: bold 10pt sans-serif; } }\n");
  }
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; ",
      "script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">\n<title>", stamp.text,
      stamp.text.empty() ? "" : " - ", EscapeHtml(TitleOf(results_)), "</title>\n<style>\n", style,
      "</style>\n</head>\n<body>\n<div class=\"page\">\n", head, Contents(), sections, "</main>\n",
      "<noscript><p class=\"note\">The charts want JavaScript; their numbers are in the tables.</p></noscript>\n",
      Footer(), "</div>\n", Scripts(), "</body>\n</html>\n");
}

}  // namespace

std::string FormatHtml(const Results& results) { return Page(results).Format(); }

}  // namespace petit::report
