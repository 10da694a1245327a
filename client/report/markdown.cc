// The report in GitHub's Markdown, for pull requests.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/report/analysis.h"
#include "client/report/format.h"
#include "client/report/report.h"
#include "client/report/table.h"

namespace petit::report {
namespace {

constexpr std::size_t kMaxFailures = 10;  // of a model on a set

std::string Sentence(const std::string& sentence) {
  const std::size_t colon = sentence.find(':');
  return absl::StrCat("- **", EscapeMarkdown(sentence.substr(0, colon + 1)), "**",
                      EscapeMarkdown(sentence.substr(colon + 1)), "\n");
}

// The line under the title: when, where, with what.
std::string Facts(const Results& results) {
  std::vector<std::string> facts;
  const auto add = [&](const std::string& fact) {
    if (!fact.empty()) facts.push_back(EscapeMarkdown(fact));
  };
  add(results.finished.empty() ? results.started : results.finished);
  add(results.hardware.cpu);
  if (results.hardware.logical_cpus) add(absl::StrCat(*results.hardware.logical_cpus, " CPUs"));
  if (!results.versions.server.empty()) add("server " + results.versions.server);
  if (!results.versions.client.empty()) add("client " + results.versions.client);
  add(results.settings.decoding);
  return absl::StrJoin(facts, " · ");
}

void Append(std::string& text, const Table& table) {
  if (!table.rows.empty()) {
    absl::StrAppend(&text, "\n### ", EscapeMarkdown(table.caption), "\n\n", TableMarkdown(table));
  }
}

}  // namespace

std::string FormatMarkdown(const Results& results) {
  const std::string title = !results.title.empty()  ? results.title
                            : !results.name.empty() ? results.name
                                                    : "Evaluation";
  std::string text = absl::StrCat("## ", EscapeMarkdown(title), "\n\n");
  if (const Stamp stamp = StampOf(results); !stamp.text.empty()) {
    absl::StrAppend(&text, "> **", stamp.text, "**: ", stamp.meaning, ".\n\n");
  }
  const Answer answer = AnswerOf(results);
  absl::StrAppend(&text, Sentence(answer.distillation), Sentence(answer.quantization), Sentence(answer.choice));
  const std::string facts = Facts(results);
  if (!facts.empty()) absl::StrAppend(&text, "\n", facts, "\n");
  if (!results.problems.empty()) {
    text += "\n**Problems**\n\n";
    for (const std::string& problem : results.problems) absl::StrAppend(&text, "- ", EscapeMarkdown(problem), "\n");
  }
  Append(text, SummaryTable(results));
  if (!results.baseline.empty()) {
    absl::StrAppend(&text, "\np: paired bootstrap against ", EscapeMarkdown(LabelOf(results, results.baseline)),
                    "; ± is half of the ", Confidence(results), " interval.\n");
  }
  for (const Set& set : results.sets) Append(text, QualityTable(results, set));
  Append(text, SpeedTable(results));
  Append(text, FailureTable(results, kMaxFailures));
  return text;
}

}  // namespace petit::report
