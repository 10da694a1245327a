// The report as one HTML file.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/report/analysis.h"
#include "client/report/chart.h"
#include "client/report/format.h"
#include "client/report/page.h"
#include "client/report/report.h"
#include "client/report/table.h"
#include "client/report/word_diff.h"

namespace petit::report {
namespace {

constexpr std::size_t kMaxExamples = 10;
constexpr std::size_t kMaxFailures = 50;  // of a model on a set

class Page : private PageBuilder {
 public:
  explicit Page(const Results& results) : results_(results) {}

  std::string Format();

 private:
  void Head();
  void Facts();
  void AddAnswer();
  void AddProblems();
  void AddSummary();
  void AddChartSections();
  void AddExamples();
  void AddExample(const Example& example);
  void AddHypothesis(const Example& example, const Hypothesis& hypothesis, const std::string& language);
  void AddDetails();
  void AddJobs();
  void AddMethod();

  const Results& results_;
};

std::string TitleOf(const Results& results) {
  return !results.title.empty() ? results.title : !results.name.empty() ? results.name : "Evaluation";
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
  BeginHeader(TitleOf(results_), results_.description);
  Facts();
  EndHeader();
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
    Add(absl::StrCat("<div class=\"wrap\">", FoldedIfLong("Failed sentences", failures), "</div>\n"));
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

std::string Page::Format() {
  AddSummary();
  AddChartSections();
  AddExamples();
  AddDetails();
  AddJobs();
  AddMethod();
  const std::string sections = Take();
  Head();
  AddAnswer();
  AddProblems();
  PageFrame frame{.title = TitleOf(results_), .style = "", .head = Take(), .made_by = "petit report"};
  if (const Stamp stamp = StampOf(results_); !stamp.text.empty()) {
    frame.title = absl::StrCat(stamp.text, " - ", frame.title);
    frame.style = absl::StrCat("@page { @top-center { content: \"", stamp.text,
                               "\"; color: #a4161a; font: bold 10pt sans-serif; } }\n");
  }
  Add(sections);
  return Finish(frame);
}

}  // namespace

std::string FormatHtml(const Results& results) { return Page(results).Format(); }

}  // namespace petit::report
