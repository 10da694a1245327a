// petit eval
#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <ostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/command.h"
#include "client/cli/eval_run.h"
#include "client/cli/eval_text.h"
#include "client/cli/validators.h"
#include "client/eval/evaluation.h"
#include "client/eval/experiment.h"
#include "client/eval/results.h"
#include "client/report/results.h"

namespace petit::cli {
namespace {

struct EvalFlags {
  CommonFlags common;
  LanguageFlags languages;
  data::PairFiles files;
  std::vector<std::string> sets;
  std::vector<std::string> models;
  std::string teacher;
  std::string baseline;
  client::DecodingOptions decoding;
  eval::Measurement measurement;
  int speed_concurrency = 0;
  bool no_kl = false;
  bool fresh = false;
  std::string json;
  std::string csv;
  std::string hypotheses;
  std::string cache;
};

constexpr char kDescription[] =
    "Measures what models are worth on test sets, and what they cost.\n"
    "\n"
    "Streams each set through one model after the other, and reports: BLEU, chrF2 and ROUGE-L against the references\n"
    "with 95 % intervals and the p-value of the difference from a baseline; KL divergence from the teacher and\n"
    "perplexity; agreement with the teacher; sentences and tokens a second, latencies; bytes. Speeds are those of\n"
    "passes of one model at a time over the whole set. A sentence that fails is named on standard error and counts as\n"
    "an empty translation.\n"
    "\n"
    "Translations and scores are kept below --cache by model digest, decoding, prompt, set and server build: after an\n"
    "interruption the same command goes on. Speeds are measured anew by every run that ended.";

constexpr char kExamples[] =
    "Examples:\n"
    "  petit eval test.tsv --model teacher --model student --from en --to fr\n"
    "  petit eval --source test.en --reference test.fr.gz --model student/versions/1 --model student/versions/2\n"
    "  petit eval pairs.jsonl --skip 10000 --take 2000 --repeat 5 --concurrency 1 --json results.json\n"
    "  petit eval --set name=en-fr,pairs=test.en-fr.tsv,from=en,to=fr \\\n"
    "             --set name=fr-en,pairs=test.fr-en.tsv,from=fr,to=en,out-of-domain\n"
    "  petit report results.json\n"
    "\n"
    "SET holds a pair a line: the source, a tab, the reference; or JSON Lines, in files named *.jsonl. Sets may be\n"
    "compressed with gzip, xz or zstd. Options of --set: name, pairs, source, reference, from, to, prompt, skip, "
    "take,\n"
    "source-field, reference-field, swap, out-of-domain.\n"
    "\n";

constexpr const char* kSetKeys[] = {
    "name", "pairs", "source",       "reference",       "from", "to",           "prompt",
    "skip", "take",  "source-field", "reference-field", "swap", "out-of-domain"};

// "name=fr-en,pairs=test.tsv,out-of-domain" to a map; an error says what is wrong.
absl::StatusOr<std::map<std::string, std::string>> SplitSet(const std::string& text) {
  std::map<std::string, std::string> values;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<std::string, std::string> pair = absl::StrSplit(part, absl::MaxSplits('=', 1));
    if (std::find(std::begin(kSetKeys), std::end(kSetKeys), pair.first) == std::end(kSetKeys)) {
      return absl::InvalidArgumentError(absl::StrCat("--set '", text, "': there is no '", pair.first, "'; there are ",
                                                     absl::StrJoin(kSetKeys, ", ")));
    }
    values[pair.first] = pair.second;
  }
  return values;
}

absl::StatusOr<eval::SetPlan> ParseSet(const std::string& text, const LanguageFlags& languages) {
  const auto values = SplitSet(text);
  if (!values.ok()) return values.status();
  const auto get = [&](const char* key, const std::string& otherwise = "") {
    const auto found = values->find(key);
    return found == values->end() ? otherwise : found->second;
  };
  eval::SetPlan set{.name = get("name"),
                    .files = {},
                    .source_language = get("from", languages.from),
                    .target_language = get("to", languages.to),
                    .out_of_domain = values->contains("out-of-domain")};
  set.files.pairs = get("pairs");
  set.files.source = get("source");
  set.files.reference = get("reference");
  set.files.source_field = get("source-field");
  set.files.reference_field = get("reference-field");
  set.files.swap_columns = values->contains("swap");
  if (!absl::SimpleAtoi(get("skip", "0"), &set.files.skip) || !absl::SimpleAtoi(get("take", "0"), &set.files.take)) {
    return absl::InvalidArgumentError(absl::StrCat("--set '", text, "': skip and take are numbers"));
  }
  if (values->contains("prompt")) set.prompt = get("prompt");
  if (set.name.empty()) return absl::InvalidArgumentError(absl::StrCat("--set '", text, "': it needs name=NAME"));
  return set;
}

absl::StatusOr<std::vector<eval::SetPlan>> Sets(const EvalFlags& flags) {
  std::vector<eval::SetPlan> sets;
  if (!flags.files.pairs.empty() || !flags.files.source.empty()) {
    const std::string& name = flags.files.pairs.empty() ? flags.files.source : flags.files.pairs;
    sets.push_back({.name = name.substr(name.rfind('/') + 1),
                    .files = flags.files,
                    .source_language = flags.languages.from,
                    .target_language = flags.languages.to,
                    .prompt = flags.languages.prompt});
  }
  for (const std::string& text : flags.sets) {
    absl::StatusOr<eval::SetPlan> set = ParseSet(text, flags.languages);
    if (!set.ok()) return set.status();
    sets.push_back(*std::move(set));
  }
  for (eval::SetPlan& set : sets) {
    set.files.source_language = set.source_language;
    set.files.target_language = set.target_language;
  }
  if (sets.empty()) {
    return absl::InvalidArgumentError("a test set is wanted: SET, --source FILE with --reference FILE, or --set");
  }
  return sets;
}

// The models asked for, or all that are served.
absl::StatusOr<std::vector<eval::ModelPlan>> ChooseModels(const EvalFlags& flags, const Io& io) {
  std::vector<std::string> names = flags.models;
  if (names.empty()) {
    const absl::StatusOr<client::Client> client = Connect(flags.common);
    if (!client.ok()) return client.status();
    const absl::StatusOr<std::vector<client::Model>> models = client->ListModels(CallFor(io));
    if (!models.ok()) return models.status();
    for (const client::Model& model : *models) {
      if (model.Served() != nullptr) names.push_back(model.name);
    }
  }
  if (names.empty()) return absl::FailedPreconditionError("the server serves no model; petit models list tells more");
  std::vector<eval::ModelPlan> models;
  models.reserve(names.size());
  const std::string& teacher = flags.teacher.empty() ? names[0] : flags.teacher;
  for (const std::string& name : names) {
    models.push_back({.name = name,
                      .role = name == teacher ? eval::Role::kTeacher : eval::Role::kOther,
                      .server = flags.common.server});
  }
  return models;
}

int RunEval(const EvalFlags& flags, Io& io) {
  absl::StatusOr<std::vector<eval::SetPlan>> sets = Sets(flags);
  if (!sets.ok()) return FailUsage(io, std::string(sets.status().message()));
  absl::StatusOr<std::vector<eval::SetUnderTest>> inspected = eval::InspectSets(*sets, io.interrupt_fd);
  if (absl::IsCancelled(inspected.status())) return Fail(io, inspected.status());
  if (!inspected.ok()) return FailUsage(io, std::string(inspected.status().message()));
  absl::StatusOr<std::vector<eval::ModelPlan>> models = ChooseModels(flags, io);
  if (!models.ok()) return Fail(io, models.status());
  const std::string cache = flags.cache.empty() ? CacheDirectory("eval") : flags.cache;
  eval::Plan plan{.title = "Evaluation",
                  .command = io.command_line,
                  .models = *std::move(models),
                  .sets = *std::move(sets),
                  .decoding = flags.decoding,
                  .measurement = flags.measurement,
                  .directory = cache};
  plan.teacher = flags.teacher.empty() ? plan.models[0].name : flags.teacher;
  plan.baseline = flags.baseline.empty() ? plan.models[0].name : flags.baseline;
  plan.measurement.speed_concurrency =
      flags.speed_concurrency > 0 ? flags.speed_concurrency : flags.measurement.concurrency;
  plan.measurement.divergence = !flags.no_kl;
  if (plan.measurement.all_at_once) plan.measurement.repeats = 0;
  EvalDisplay display(io, flags.common.quiet);
  const auto evaluation = eval::Evaluation::Prepare(
      plan, *std::move(inspected), [&flags](const std::string& /*server*/) { return Connect(flags.common); },
      display.Surroundings());
  if (!evaluation.ok()) return FailEvaluation(io, evaluation.status(), cache);
  if (flags.fresh) {
    if (absl::Status status = (*evaluation)->Forget(); !status.ok()) return Fail(io, status);
  }
  const absl::StatusOr<eval::Outcome> outcome = (*evaluation)->Run(flags.hypotheses);
  if (!outcome.ok()) return FailEvaluation(io, outcome.status(), cache);
  const std::string json = eval::FormatResults(plan, *outcome, {});
  const absl::StatusOr<report::Results> results = report::ParseResults(json);
  if (!results.ok()) return Fail(io, results.status());
  *io.out << FormatEvaluation(*results);
  absl::Status written = flags.json.empty() ? absl::OkStatus() : eval::WriteWhole(flags.json, json);
  if (written.ok() && !flags.csv.empty()) written = eval::WriteWhole(flags.csv, eval::FormatCsv(*outcome));
  if (!written.ok()) return FailUsage(io, std::string(written.message()));
  if (absl::Status status = (*evaluation)->ForgetPasses(); !status.ok()) return Fail(io, status);
  return CodeFor(*results);
}

void AddSetOptions(CLI::App& command, EvalFlags& flags) {
  auto* const set = command.add_option("SET", flags.files.pairs, "File of pairs, SOURCE<TAB>REFERENCE a line");
  set->type_name("FILE");
  auto* const source = command.add_option("--source", flags.files.source, "File of sources, one a line");
  auto* const reference = command.add_option("--reference", flags.files.reference, "File of their references");
  source->type_name("FILE")->excludes(set)->needs(reference);
  reference->type_name("FILE")->excludes(set)->needs(source);
  command.add_option("--set", flags.sets, "A named set, KEY=VALUE,...; may be repeated. The first set is the main one")
      ->type_name("SET")
      ->allow_extra_args(false);
  command.add_option("--skip", flags.files.skip, "Leave out the first N pairs")->type_name("N")->check(AtLeast(0));
  command.add_option("--take,--limit", flags.files.take, "Use N pairs only")->type_name("N")->check(AtLeast(1));
}

void AddDecodingOptions(CLI::App& command, client::DecodingOptions& decoding) {
  const std::string group = "Decoding (default: what the server configures for the model)";
  command.add_option("--beams", decoding.num_beams, "Beam search with so many beams; 1 is greedy")
      ->type_name("N")
      ->check(AtLeast(1))
      ->group(group);
  command.add_option("--max-new-tokens", decoding.max_new_tokens, "Longest translation, in tokens")
      ->type_name("N")
      ->check(AtLeast(1))
      ->group(group);
  command.add_option("--length-penalty", decoding.length_penalty, "Above 0 favours longer translations")
      ->type_name("X")
      ->group(group);
}

void AddMeasurementOptions(CLI::App& command, EvalFlags& flags) {
  eval::Measurement& how = flags.measurement;
  command.add_option("--concurrency", how.concurrency, "Texts in flight")
      ->type_name("N")
      ->check(Between(1, 1024))
      ->capture_default_str();
  auto* const repeat = command.add_option("--repeat", how.repeats, "Timed passes, all models in turn; 0: no speeds")
                           ->type_name("N")
                           ->check(Between(0, 100))
                           ->capture_default_str();
  command
      .add_option("--speed-concurrency", flags.speed_concurrency, "Texts in flight in timed passes (default: as above)")
      ->type_name("N")
      ->check(Between(1, 1024));
  command.add_option("--speed-take", how.speed_take, "Time the first N pairs only")->type_name("N")->check(AtLeast(1));
  command.add_flag("--all-at-once", how.all_at_once, "All models translate at a time: quality only, no speeds")
      ->excludes(repeat);
  command.add_flag("--no-kl", flags.no_kl, "Measure neither KL(teacher || model) nor perplexity");
  command.add_option("--samples", how.bootstrap_samples, "Bootstrap samples")
      ->type_name("N")
      ->check(Between(1, 1000000))
      ->capture_default_str();
  command.add_option("--seed", how.seed, "Of the bootstrap")->type_name("N")->capture_default_str();
}

}  // namespace

void AddEvalCommand(CLI::App& app, Invocation& invocation) {
  const auto flags = std::make_shared<EvalFlags>();
  CLI::App& command = *app.add_subcommand("eval", kDescription);
  command.footer(std::string(kExamples) + kExitCodesHelp);
  AddSetOptions(command, *flags);
  command.add_option("-m,--model", flags->models, "Model to measure; may be repeated (default: all that are served)")
      ->type_name("MODEL")
      ->allow_extra_args(false);
  command.add_option("--teacher", flags->teacher, "Whom the others are held against (default: the first)")
      ->type_name("MODEL");
  command.add_option("--baseline", flags->baseline, "From whom differences are tested (default: the first)")
      ->type_name("MODEL");
  AddLanguageFlags(command, flags->languages);
  AddMeasurementOptions(command, *flags);
  command.add_option("--json", flags->json, "Write the results as JSON, too, for petit report")->type_name("FILE");
  command.add_option("--csv", flags->csv, "Write them as CSV, too")->type_name("FILE");
  command.add_option("--save-hypotheses", flags->hypotheses, "Write each model's translations to DIR/SET/MODEL.txt")
      ->type_name("DIR");
  command.add_option("--cache", flags->cache, "Keep what was done in DIR (default: ~/.cache/petit/eval)")
      ->type_name("DIR");
  command.add_flag("--fresh", flags->fresh, "Forget what was kept of these models and sets, and start anew");
  AddDecodingOptions(command, flags->decoding);
  AddCommonFlags(command, flags->common);
  command.callback([&invocation, flags] { invocation.run = [flags](Io& io) { return RunEval(*flags, io); }; });
}

}  // namespace petit::cli
