// petit eval
#include <CLI/CLI.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "client/cli/command.h"
#include "client/cli/eval_model.h"
#include "client/cli/eval_report.h"
#include "client/cli/eval_set.h"
#include "client/cli/validators.h"

namespace petit::cli {
namespace {

struct EvalFlags {
  CommonFlags common;
  LanguageFlags languages;
  EvalFiles files;
  std::vector<std::string> models;
  client::DecodingOptions decoding;
  int concurrency = 32;
  bool no_kl = false;
  std::string json;
  std::string hypotheses;
};

constexpr char kDescription[] =
    "Measures what models are worth on a test set, and what they cost.\n"
    "\n"
    "Streams the set through one model after the other, and reports for each: BLEU, chrF2 and ROUGE-L against the\n"
    "references, the KL divergence from the first model, sentences and tokens a second, the latency of one text\n"
    "while the others are in flight, and bytes. A sentence that fails is named on standard error and counts as an\n"
    "empty translation.";

constexpr char kExamples[] =
    "Examples:\n"
    "  petit eval test.tsv --model teacher --model student\n"
    "  petit eval --source test.en --reference test.fr --model student/versions/1 --model student/versions/2\n"
    "  petit eval test.tsv --limit 200 --concurrency 1 --no-kl --json report.json\n"
    "\n"
    "SET holds a pair a line: the source, a tab, the reference.\n"
    "\n";

// The file of a model's hypotheses; a version's name has slashes.
std::string HypothesesPath(const std::string& directory, const std::string& model) {
  return absl::StrCat(directory, "/", absl::StrReplaceAll(model, {{"/", "_"}}), ".txt");
}

absl::Status WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  return file.good() ? absl::OkStatus() : absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
}

// The models asked for, or all that are served; with what the server says of each.
absl::StatusOr<std::vector<ModelReport>> ChooseModels(const client::Client& client, const EvalFlags& flags,
                                                      const Io& io) {
  const absl::StatusOr<std::vector<client::Model>> models = client.ListModels(CallFor(io));
  if (!models.ok()) return models.status();
  std::vector<std::string> names = flags.models;
  if (names.empty()) {
    for (const client::Model& model : *models) {
      if (model.Served() != nullptr) names.push_back(model.name);
    }
  }
  if (names.empty()) return absl::FailedPreconditionError("the server serves no model; petit models list tells more");
  std::vector<ModelReport> reports;
  for (const std::string& name : names) {
    ModelReport report;
    report.model = name;
    for (const client::Model& model : *models) {
      for (const client::ModelVersion& version : model.versions) {
        const bool served = name == model.name && version.version == model.served_version;
        if (served || name == absl::StrCat(model.name, "/versions/", version.version)) report.served = version;
      }
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

absl::Status EvaluateAll(const client::Client& client, const EvalFlags& flags, Io& io, EvalReport& report) {
  EvalRun run{.files = flags.files,
              .pairs = report.set.pairs,
              .options = report.options,
              .concurrency = flags.concurrency,
              .show_progress = io.err_is_terminal && !flags.common.quiet};
  for (ModelReport& model : report.models) {
    run.options.model = model.model;
    std::ofstream hypotheses;
    if (!flags.hypotheses.empty()) {
      const std::string path = HypothesesPath(flags.hypotheses, model.model);
      hypotheses.open(path, std::ios::binary);
      if (!hypotheses) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
    }
    absl::Status status = EvaluateModel(client, run, io, flags.hypotheses.empty() ? nullptr : &hypotheses, model);
    if (!status.ok()) return status;
  }
  // After all translations, so that no model's times suffer from another's scoring.
  for (ModelReport& model : report.models) {
    if (!report.with_kl) break;
    run.options.model = model.model;
    absl::Status status = MeasureKl(client, run, report.models.front().model, io, model);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

int RunEval(const EvalFlags& flags, Io& io) {
  if (flags.files.pairs.empty() == flags.files.source.empty()) {
    return FailUsage(io, "a test set is wanted: SET, or --source FILE with --reference FILE");
  }
  EvalReport report;
  absl::StatusOr<EvalSetInfo> set = InspectEvalSet(flags.files, io.interrupt_fd);
  if (!set.ok()) return FailUsage(io, std::string(set.status().message()));
  report.set = *std::move(set);
  if (!flags.hypotheses.empty()) {
    std::error_code error;
    std::filesystem::create_directories(flags.hypotheses, error);
    if (error) return FailUsage(io, absl::StrCat("cannot make ", flags.hypotheses, ": ", error.message()));
  }
  const absl::StatusOr<client::Client> client = Connect(flags.common);
  if (!client.ok()) return FailUsage(io, std::string(client.status().message()));
  absl::StatusOr<std::vector<ModelReport>> models = ChooseModels(*client, flags, io);
  if (!models.ok()) return Fail(io, models.status());
  report.models = *std::move(models);
  report.server = flags.common.server;
  report.date = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone());
  report.options = {.model = "",
                    .source_language = flags.languages.from,
                    .target_language = flags.languages.to,
                    .prompt_override = flags.languages.prompt,
                    .decoding = flags.decoding};
  report.concurrency = flags.concurrency;
  report.with_kl = !flags.no_kl;
  const absl::Status status = EvaluateAll(*client, flags, io, report);
  if (io.cancellation != nullptr && io.cancellation->cancelled()) return Fail(io, absl::CancelledError(""));
  if (!status.ok()) return Fail(io, status);
  *io.out << FormatReport(report);
  if (!flags.json.empty()) {
    if (const absl::Status written = WriteFile(flags.json, FormatReportJson(report)); !written.ok()) {
      return FailUsage(io, std::string(written.message()));
    }
  }
  for (const ModelReport& model : report.models) {
    if (!model.failures.empty()) return kExitTextsFailed;
  }
  return kExitOk;
}

}  // namespace

void AddEvalCommand(CLI::App& app, Invocation& invocation) {
  const auto flags = std::make_shared<EvalFlags>();
  CLI::App& command = *app.add_subcommand("eval", kDescription);
  command.footer(std::string(kExamples) + kExitCodesHelp);
  auto* const set = command.add_option("SET", flags->files.pairs, "File of pairs, SOURCE<TAB>REFERENCE a line");
  set->type_name("FILE");
  auto* const source = command.add_option("--source", flags->files.source, "File of sources, one a line");
  auto* const reference = command.add_option("--reference", flags->files.reference, "File of their references");
  source->type_name("FILE")->excludes(set)->needs(reference);
  reference->type_name("FILE")->excludes(set)->needs(source);
  command.add_option("-m,--model", flags->models, "Model to measure; may be repeated (default: all that are served)")
      ->type_name("MODEL")
      ->allow_extra_args(false);
  AddLanguageFlags(command, flags->languages);
  command.add_option("--limit", flags->files.limit, "Use the first N pairs only")->type_name("N")->check(AtLeast(1));
  command.add_option("--concurrency", flags->concurrency, "Texts in flight")
      ->type_name("N")
      ->check(Between(1, 1024))
      ->capture_default_str();
  command.add_flag("--no-kl", flags->no_kl, "Do not measure KL(first model || model)");
  command.add_option("--json", flags->json, "Write the report as JSON, too")->type_name("FILE");
  command.add_option("--save-hypotheses", flags->hypotheses, "Write each model's translations to DIR/MODEL.txt")
      ->type_name("DIR");
  const std::string group = "Decoding (default: what the server configures for the model)";
  command.add_option("--beams", flags->decoding.num_beams, "Beam search with so many beams; 1 is greedy")
      ->type_name("N")
      ->check(AtLeast(1))
      ->group(group);
  command.add_option("--max-new-tokens", flags->decoding.max_new_tokens, "Longest translation, in tokens")
      ->type_name("N")
      ->check(AtLeast(1))
      ->group(group);
  command.add_option("--length-penalty", flags->decoding.length_penalty, "Above 0 favours longer translations")
      ->type_name("X")
      ->group(group);
  AddCommonFlags(command, flags->common);
  command.callback([&invocation, flags] { invocation.run = [flags](Io& io) { return RunEval(*flags, io); }; });
}

}  // namespace petit::cli
