// petit score
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/command.h"
#include "client/cli/score_metrics.h"
#include "client/cli/text_io.h"
#include "client/cli/validators.h"

namespace petit::cli {
namespace {

using Json = nlohmann::ordered_json;

struct ScoreFlags {
  std::string hypotheses;
  std::string references;
  std::string baseline;
  std::string metrics = "bleu,chrf,rouge";
  bool randomization = false;
  bool bootstrap = false;
  bool json = false;
  int width = 2;
  ScoreOptions options;
};

constexpr char kDescription[] =
    "Scores translations in a file against references in another; no server is asked.\n"
    "\n"
    "BLEU and chrF2 are sacreBLEU's to the last digit, ROUGE-L is rouge_score's (words of a-z and 0-9; words of\n"
    "Unicode letters under a name of its own). With --baseline: whether the difference between two systems may be\n"
    "chance, by paired bootstrap resampling or approximate randomization.";

constexpr char kFooter[] =
    "Examples:\n"
    "  petit score student.txt reference.txt\n"
    "  petit translate --file test.en | petit score - test.fr --metrics bleu --confidence\n"
    "  petit score student.txt reference.txt --baseline teacher.txt --paired-ar\n"
    "\n"
    "Files hold a sentence a line, UTF-8; the n-th lines belong together.\n"
    "\n"
    "Exit codes:\n"
    "  0    everything was done\n"
    "  2    the command line or an input file cannot be used\n"
    "  130  interrupted";

absl::StatusOr<std::vector<std::string>> ReadLines(const std::string& path, const Io& io) {
  const absl::StatusOr<InputFile> file = InputFile::Open(path, io.in_fd);
  if (!file.ok()) return file.status();
  LineReader reader(file->fd(), {io.interrupt_fd, -1});
  std::vector<std::string> lines;
  while (true) {
    absl::StatusOr<std::optional<Line>> line = reader.Next();
    if (!line.ok()) return absl::Status(line.status().code(), absl::StrCat(path, ": ", line.status().message()));
    if (io.cancellation != nullptr && io.cancellation->cancelled()) return absl::CancelledError("");
    if (!line->has_value()) return lines;
    const std::string where = absl::StrCat(path, ":", (*line)->number, ": ");
    if ((*line)->too_long) return absl::InvalidArgumentError(where + "the line is longer than 1 MiB");
    if (const auto offset = FindInvalidUtf8((*line)->text)) {
      return absl::InvalidArgumentError(absl::StrCat(where, "byte ", *offset + 1, " is not valid UTF-8"));
    }
    lines.push_back(std::move((*line)->text));
  }
}

absl::StatusOr<std::vector<ScoreMetric>> ParseMetrics(const std::string& names) {
  std::vector<ScoreMetric> metrics;
  for (const absl::string_view name : absl::StrSplit(names, ',', absl::SkipWhitespace())) {
    if (name == "bleu") {
      metrics.push_back(ScoreMetric::kBleu);
    } else if (name == "chrf") {
      metrics.push_back(ScoreMetric::kChrf);
    } else if (name == "rouge") {
      metrics.push_back(ScoreMetric::kRouge);
      metrics.push_back(ScoreMetric::kRougeUnicode);
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("--metrics: there is no metric '", name, "'; there are: bleu, chrf, rouge"));
    }
  }
  if (metrics.empty()) return absl::InvalidArgumentError("--metrics names no metric; there are: bleu, chrf, rouge");
  return metrics;
}

absl::Status CheckLengths(const std::string& path, std::size_t lines, const std::string& references,
                          std::size_t reference_lines) {
  if (lines == reference_lines) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(path, " has ", lines, " lines and ", references, " has ",
                                                 reference_lines,
                                                 "; the n-th lines belong together, so both need equally many"));
}

absl::StatusOr<ScoreTexts> ReadTexts(const ScoreFlags& flags, const Io& io) {
  int from_stdin = 0;
  for (const std::string* path : {&flags.hypotheses, &flags.references, &flags.baseline}) {
    if (*path == "-") ++from_stdin;
  }
  if (from_stdin > 1) return absl::InvalidArgumentError("only one file can be standard input (-)");
  ScoreTexts texts;
  absl::StatusOr<std::vector<std::string>> lines = ReadLines(flags.hypotheses, io);
  if (!lines.ok()) return lines.status();
  texts.hypotheses = *std::move(lines);
  lines = ReadLines(flags.references, io);
  if (!lines.ok()) return lines.status();
  texts.references = *std::move(lines);
  if (texts.references.empty() && texts.hypotheses.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(flags.references, " holds no lines"));
  }
  absl::Status status =
      CheckLengths(flags.hypotheses, texts.hypotheses.size(), flags.references, texts.references.size());
  if (!status.ok() || flags.baseline.empty())
    return status.ok() ? absl::StatusOr<ScoreTexts>(std::move(texts)) : status;
  lines = ReadLines(flags.baseline, io);
  if (!lines.ok()) return lines.status();
  texts.baseline = *std::move(lines);
  status = CheckLengths(flags.baseline, texts.baseline.size(), flags.references, texts.references.size());
  if (!status.ok()) return status;
  return texts;
}

Json ToJson(const metrics::Interval& interval) {
  return {{"mean", interval.mean}, {"half_width", interval.half_width}};
}

Json ToJson(const ScoreFlags& flags, const ScoreTexts& texts, const std::vector<MetricResult>& results) {
  Json json = {
      {"hypotheses", flags.hypotheses}, {"references", flags.references}, {"sentences", texts.references.size()}};
  if (!flags.baseline.empty()) {
    json["baseline"] = flags.baseline;
    json["test"] = flags.randomization ? "approximate randomization" : "paired bootstrap";
    json["trials"] = flags.options.Trials();
    json["seed"] = flags.options.seed;
  }
  json["metrics"] = Json::array();
  for (const MetricResult& result : results) {
    Json metric = {{"name", result.name}, {"signature", result.signature}, {"score", result.score}};
    if (result.bleu) {
      const auto& precisions = result.bleu->precisions;
      metric["precisions"] = std::vector<double>(precisions.begin(), precisions.begin() + 4);
      metric["brevity_penalty"] = result.bleu->brevity_penalty;
      metric["hypothesis_length"] = result.bleu->statistics.hypothesis_length;
      metric["reference_length"] = result.bleu->statistics.reference_length;
    }
    if (result.confidence) metric["confidence"] = ToJson(*result.confidence);
    if (result.paired) {
      if (result.paired->system_interval) metric["confidence"] = ToJson(*result.paired->system_interval);
      metric["baseline"] = {{"score", result.paired->baseline}};
      if (result.paired->baseline_interval) {
        metric["baseline"]["confidence"] = ToJson(*result.paired->baseline_interval);
      }
      metric["p_value"] = result.paired->p_value;
    }
    json["metrics"].push_back(std::move(metric));
  }
  return json;
}

int RunScore(ScoreFlags flags, Io& io) {
  const absl::StatusOr<std::vector<ScoreMetric>> metrics = ParseMetrics(flags.metrics);
  if (!metrics.ok()) return FailUsage(io, std::string(metrics.status().message()));
  if (flags.randomization) flags.options.test = PairedTest::kRandomization;
  const absl::StatusOr<ScoreTexts> texts = ReadTexts(flags, io);
  if (absl::IsCancelled(texts.status())) return Fail(io, texts.status());
  if (!texts.ok()) return FailUsage(io, std::string(texts.status().message()));
  std::vector<MetricResult> results;
  for (const ScoreMetric metric : *metrics) {
    if (io.cancellation != nullptr && io.cancellation->cancelled()) return Fail(io, absl::CancelledError(""));
    results.push_back(ComputeMetric(metric, *texts, flags.options));
  }
  if (flags.json) {
    *io.out << ToJson(flags, *texts, results).dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  } else if (flags.baseline.empty()) {
    *io.out << FormatScores(results, flags.width);
  } else {
    *io.out << FormatPaired(results, flags.baseline, flags.hypotheses, flags.options, flags.width);
  }
  return kExitOk;
}

}  // namespace

void AddScoreCommand(CLI::App& app, Invocation& invocation) {
  const auto flags = std::make_shared<ScoreFlags>();
  CLI::App& command = *app.add_subcommand("score", kDescription);
  command.footer(kFooter);
  command.add_option("HYP", flags->hypotheses, "File of translations; - is standard input")
      ->required()
      ->type_name("FILE");
  command.add_option("REF", flags->references, "File of references; - is standard input")
      ->required()
      ->type_name("FILE");
  command.add_option("--metrics", flags->metrics, "Some of bleu, chrf and rouge, with commas between")
      ->type_name("LIST")
      ->capture_default_str();
  auto* const baseline =
      command.add_option("--baseline", flags->baseline, "File of another system's translations, to compare with");
  baseline->type_name("FILE");
  auto* const bootstrap = command.add_flag("--paired-bs", flags->bootstrap,
                                           "Compare by paired bootstrap resampling (what --baseline does anyway)");
  bootstrap->needs(baseline);
  command.add_flag("--paired-ar", flags->randomization, "Compare by approximate randomization")
      ->needs(baseline)
      ->excludes(bootstrap);
  command.add_flag("--confidence", flags->options.confidence, "The 95 % interval of a score, by bootstrap resampling")
      ->excludes(baseline);
  command
      .add_option("--trials", flags->options.trials,
                  "Resamples (default: 1000) or trials of a randomization (default: 10000)")
      ->type_name("N")
      ->check(AtLeast(1));
  command.add_option("--seed", flags->options.seed, "Of the resampling")->type_name("N")->capture_default_str();
  command.add_option("--width", flags->width, "Decimals of scores")
      ->type_name("N")
      ->check(Between(0, 15))
      ->capture_default_str();
  command.add_flag("--json", flags->json, "JSON in place of text, with all digits");
  command.callback([&invocation, flags] { invocation.run = [flags](Io& io) { return RunScore(*flags, io); }; });
}

}  // namespace petit::cli
