// The pages: what they hold, and that nothing of the results breaks out of its place.
#include <nlohmann/json.hpp>
#include <string>

#include "client/report/chart.h"
#include "client/report/format.h"
#include "client/report/report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/report/sample.h"

namespace petit::report {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kEvil[] = "</script><script>alert(1)</script>\"'&<!--\xE2\x80\xA8|`@you";

std::size_t Occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// Every text of the results.
Results Evil() {
  nlohmann::json document = nlohmann::json::parse(SampleJson());
  const auto spoil = [](nlohmann::json& object, std::initializer_list<const char*> fields) {
    for (const char* field : fields) object[field] = object[field].get<std::string>() + kEvil;
  };
  spoil(document, {"title", "description", "started", "command"});
  spoil(document["versions"], {"client", "server"});
  spoil(document["hardware"], {"cpu", "os"});
  spoil(document["settings"], {"decoding"});
  spoil(document["signatures"], {"bleu", "chrf2"});
  for (nlohmann::json& model : document["models"]) spoil(model, {"label", "server", "executor", "precision", "device"});
  for (nlohmann::json& set : document["sets"]) spoil(set, {"source_language", "target_language", "note"});
  for (nlohmann::json& example : document["examples"]) {
    spoil(example, {"source", "reference"});
    for (nlohmann::json& hypothesis : example["hypotheses"]) spoil(hypothesis, {"text"});
  }
  for (nlohmann::json& job : document["jobs"]) {
    spoil(job, {"name", "experiment", "state", "spec"});
    for (const char* list : {"arms", "curves", "dev"}) {
      for (nlohmann::json& one : job[list]) spoil(one, {"arm"});
    }
    for (nlohmann::json& one : job["dev"]) spoil(one, {"set"});
  }
  spoil(document["results"][17]["failures"][0], {"code", "message"});
  document["problems"].push_back(kEvil);
  const absl::StatusOr<Results> results = ParseResults(document.dump());
  EXPECT_TRUE(results.ok()) << results.status();
  return *results;
}

// What the page's script reads.
nlohmann::json ChartsOf(const std::string& html) {
  const std::string begin = "<script type=\"application/json\" id=\"charts\">";
  const std::size_t at = html.find(begin) + begin.size();
  return nlohmann::json::parse(html.substr(at, html.find("</script>", at) - at));
}

TEST(Html, HasEveryPart) {
  const std::string html = FormatHtml(Sample());
  for (const char* part :
       {"<title>Distillation against quantization</title>", "2026-01-15 09:30 to 11:02 UTC", "AMD EPYC",
        "petit experiment", "id=\"summary\"", "id=\"scores\"", "id=\"job-0\"", "id=\"trade-offs\"", "id=\"latency\"",
        "id=\"examples\"", "id=\"details\"", "id=\"method\"", "60,506,624", "no KL: the teacher", "DEADLINE_EXCEEDED",
        "Vega 6", "Copyright", "<mark>", "<del>"}) {
    EXPECT_THAT(html, HasSubstr(part));
  }
  EXPECT_THAT(html, Not(HasSubstr("RANDOM WEIGHTS")));
}

TEST(Html, DeclaresAChartForEachSpecification) {
  const std::string html = FormatHtml(Sample());
  const nlohmann::json charts = ChartsOf(html);
  std::vector<std::string> ids;
  for (const nlohmann::json& chart : charts) {
    ids.push_back(chart["id"]);
    EXPECT_EQ(Occurrences(html, "<div class=\"chart\" id=\"" + ids.back() + "\""), 1U);
    EXPECT_EQ(chart["spec"]["width"], "container");
    EXPECT_THAT(chart["spec"]["description"], Not(testing::IsEmpty()));
  }
  EXPECT_THAT(ids, testing::ElementsAre("bleu-in", "bleu-out", "rouge-l-in", "rouge-l-out", "job-0-ce", "job-0-kl",
                                        "job-0-dev", "quality-bytes", "quality-speed", "latency-0", "latency-1"));
}

TEST(Html, DrawsNoTotalOfLosses) {
  for (const nlohmann::json& chart : ChartsOf(FormatHtml(Sample()))) {
    EXPECT_THAT(chart["spec"].dump(), AllOf(Not(HasSubstr("Total")), Not(HasSubstr("total"))));
  }
}

TEST(Html, MarksBestStepsOfEachArmAndDevSet) {
  for (const nlohmann::json& chart : ChartsOf(FormatHtml(Sample()))) {
    if (chart["id"] != "job-0-dev") continue;
    const nlohmann::json& marks = chart["spec"]["layer"][1]["data"]["values"];
    EXPECT_EQ(marks.size(), 4U * 2U * 2U);
  }
}

TEST(Html, StampsRandomWeights) {
  Results results = Sample();
  results.random_weights = true;
  const std::string html = FormatHtml(results);
  EXPECT_THAT(html, HasSubstr("<p class=\"stamp\" role=\"note\">RANDOM WEIGHTS"));
  EXPECT_THAT(html,
              HasSubstr("<div class=\"watermark\" aria-hidden=\"true\">RANDOM WEIGHTS</div>"));  // of each printed page
  EXPECT_THAT(html, HasSubstr("<title>RANDOM WEIGHTS - "));
  EXPECT_THAT(FormatMarkdown(results), HasSubstr("**RANDOM WEIGHTS**"));
}

TEST(Html, StampsTrials) {
  Results results = Sample();
  EXPECT_THAT(FormatHtml(results), Not(HasSubstr("class=\"stamp\"")));
  results.trial = true;
  EXPECT_THAT(FormatHtml(results), HasSubstr("<p class=\"stamp\" role=\"note\">TRIAL RUN: a few pairs"));
  EXPECT_THAT(FormatMarkdown(results), HasSubstr("**TRIAL RUN**"));
}

TEST(Html, EscapesWhateverTheResultsHold) {
  const std::string html = FormatHtml(Evil());
  const std::string plain = FormatHtml(Sample());
  EXPECT_THAT(html, Not(HasSubstr("<script>alert")));
  EXPECT_EQ(Occurrences(html, "<script"), Occurrences(plain, "<script"));
  EXPECT_EQ(Occurrences(html, "</script"), Occurrences(plain, "</script"));
  EXPECT_EQ(Occurrences(html, "<!--"), Occurrences(plain, "<!--"));
  EXPECT_THAT(html, HasSubstr("\\u003c/script>\\u003cscript>alert(1)"));
  EXPECT_THAT(html, HasSubstr("\\u2028"));
  const std::string data = html.substr(html.find("id=\"charts\""));
  EXPECT_THAT(data, Not(HasSubstr("\xE2\x80\xA8")));
  const nlohmann::json charts = ChartsOf(html);  // and it is read as it was
  EXPECT_THAT(charts[0]["spec"].dump(), HasSubstr("</script><script>alert(1)"));
}

TEST(Html, MakesAPageOfNothing) {
  const std::string html = FormatHtml(Results{});
  EXPECT_THAT(html, HasSubstr("<title>Evaluation</title>"));
  EXPECT_EQ(ChartsOf(html).size(), 0U);
  EXPECT_LT(html.size(), 50'000U);  // the library that draws charts stays out
}

TEST(Html, LeavesOutChartsWhoseFiguresAreMissing) {
  Results results = Sample();
  results.speeds.clear();
  results.jobs.clear();
  for (Result& result : results.results) result.rouge_l = {};
  std::vector<std::string> ids;
  for (const nlohmann::json& chart : ChartsOf(FormatHtml(results))) ids.push_back(chart["id"]);
  EXPECT_THAT(ids, testing::ElementsAre("bleu-in", "bleu-out", "quality-bytes"));
}

TEST(TradeOffCharts, TakeMoreSentencesASecondForCheaper) {
  const std::vector<Chart> charts = TradeOffCharts(Sample());
  ASSERT_EQ(charts.size(), 2U);
  std::vector<std::string> on;
  for (const std::vector<std::string>& row : charts[1].table.rows) {
    if (row.back() == "yes") on.push_back(row[0]);
  }
  EXPECT_THAT(on, testing::Contains("Teacher"));
  EXPECT_THAT(on, testing::Contains("Distilled, α = 0.5, INT8"));
  EXPECT_THAT(on, Not(testing::Contains("Student, labels only")));
}

TEST(Markdown, HasTheAnswerTheSummaryAndATableForEachSet) {
  const std::string text = FormatMarkdown(Sample());
  for (const char* part :
       {"## Distillation against quantization\n", "- **Distillation:** Distilled", "- **Quantization:**",
        "- **Which to take:**", "### Summary on en-fr\n", "### Quality on en-fr (in domain)\n",
        "### Quality on news.en-fr (out of domain)\n", "### Failed sentences\n", "| ---: |"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(Markdown, LetsNothingOfTheResultsBeMarkup) {
  const std::string text = FormatMarkdown(Evil());
  EXPECT_THAT(text, AllOf(Not(HasSubstr("<")), Not(HasSubstr("@you"))));
  EXPECT_THAT(text, HasSubstr("\\|\\`"));
}

TEST(EscapeMarkdown, KeepsATextOnItsLine) {
  EXPECT_EQ(EscapeMarkdown("a\n# b | *c* _d_ [e](f) \\"), "a \\# b \\| \\*c\\* \\_d\\_ \\[e\\](f) \\\\");
}

TEST(Figures, AreWhatPeopleRead) {
  EXPECT_EQ(Fixed(-0.004, 2), "0.00");
  EXPECT_EQ(Fixed(std::nullopt, 2), "–");
  EXPECT_EQ(Signed(-1.26, 1), "−1.3");
  EXPECT_EQ(Signed(0.04, 1), "0.0");
  EXPECT_EQ(Integer(60506624), "60,506,624");
  EXPECT_EQ(Integer(-1234), "−1,234");
  EXPECT_EQ(Integer(999), "999");
  EXPECT_EQ(Bytes(62459904), "62.5 MB");
  EXPECT_EQ(Bytes(999), "999 B");
  EXPECT_EQ(Count(8000000), "8.00 M");
  EXPECT_EQ(PValue(0.0004), "< 0.001");
  EXPECT_EQ(PEquals(0.0004), "p < 0.001");
  EXPECT_EQ(PEquals(0.012), "p = 0.012");
  EXPECT_EQ(Milliseconds(0.02), "20.0");
  EXPECT_EQ(Seconds(2710.4), "45 min");
  EXPECT_EQ(Period("2026-01-15T09:30:00Z", "2026-01-16T00:02:41Z"), "2026-01-15 09:30 to 2026-01-16 00:02 UTC");
  EXPECT_EQ(Period("2026-01-15T09:30:00Z", ""), "2026-01-15 09:30 UTC");
  EXPECT_EQ(Period("yesterday", "today"), "yesterday to today");
}

}  // namespace
}  // namespace petit::report
