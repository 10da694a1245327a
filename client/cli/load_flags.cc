#include "client/cli/load_flags.h"

#include <CLI/CLI.hpp>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "client/cli/validators.h"
#include "client/load/objective.h"

namespace petit::cli {
namespace {

constexpr double kMostTextsPerSecond = 1e6;
constexpr int kMostStreams = 100'000;

absl::Status Wrong(const char* flag, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(flag, ": ", what));
}

absl::StatusOr<absl::Duration> DurationOf(const char* flag, const std::string& text, bool may_be_zero) {
  const absl::StatusOr<absl::Duration> duration = load::ParseDuration(text);
  if (!duration.ok()) return Wrong(flag, duration.status().message());
  if (*duration == absl::ZeroDuration() && !may_be_zero) {
    return Wrong(flag, absl::StrCat("'", text, "' is no time at all; a duration above 0 is wanted, as 10s"));
  }
  return *duration;
}

absl::StatusOr<double> RateOf(const char* flag, absl::string_view text) {
  double rate = 0;
  if (!absl::SimpleAtod(text, &rate) || !(rate > 0) || rate > kMostTextsPerSecond) {
    return Wrong(flag, absl::StrCat("'", text, "' is not a rate; texts a second above 0 are wanted"));
  }
  return rate;
}

absl::StatusOr<std::vector<load::Phase>> PhasesOf(const LoadFlags& flags) {
  std::vector<load::Phase> phases;
  if (flags.rate) phases.push_back({.rate = *flags.rate, .rate_to = *flags.rate});
  if (!flags.ramp.empty()) {
    const std::vector<std::string> ends = absl::StrSplit(flags.ramp, ':');
    if (ends.size() != 2) return Wrong("--ramp", absl::StrCat("'", flags.ramp, "' is not FROM:TO, as 10:80"));
    const absl::StatusOr<double> from = RateOf("--ramp", ends[0]);
    const absl::StatusOr<double> to = RateOf("--ramp", ends[1]);
    if (!from.ok()) return from.status();
    if (!to.ok()) return to.status();
    phases.push_back({.rate = *from, .rate_to = *to});
  }
  if (!flags.steps.empty()) {
    for (const absl::string_view text : absl::StrSplit(flags.steps, ',')) {
      const absl::StatusOr<double> rate = RateOf("--steps", text);
      if (!rate.ok()) return rate.status();
      phases.push_back({.rate = *rate, .rate_to = *rate});
    }
  }
  if (!flags.streams.empty()) {
    for (const absl::string_view text : absl::StrSplit(flags.streams, ',')) {
      int streams = 0;
      if (!absl::SimpleAtoi(text, &streams) || streams < 1 || streams > kMostStreams) {
        return Wrong("--streams", absl::StrCat("'", text, "' is not a number of streams from 1 to ", kMostStreams));
      }
      phases.push_back({.streams = streams});
    }
  }
  if (phases.empty()) {
    return absl::InvalidArgumentError(
        "how much? --rate TEXTS_PER_SECOND, --steps, --ramp (open loop) or --streams N (closed loop) is wanted");
  }
  return phases;
}

}  // namespace

absl::StatusOr<load::Plan> PlanOf(const LoadFlags& flags) {
  absl::StatusOr<std::vector<load::Phase>> phases = PhasesOf(flags);
  if (!phases.ok()) return phases.status();
  const bool until_sent = flags.requests.has_value() && flags.duration.empty();
  const absl::StatusOr<absl::Duration> duration =
      DurationOf("--duration", flags.duration.empty() ? "10s" : flags.duration, false);
  if (!duration.ok()) return duration.status();
  const absl::StatusOr<absl::Duration> warmup = DurationOf("--warmup", flags.warmup, true);
  if (!warmup.ok()) return warmup.status();
  for (load::Phase& phase : *phases) {
    phase.duration = until_sent && phase.rate == phase.rate_to ? absl::InfiniteDuration() : *duration;
    phase.warmup = *warmup;
    phase.requests = flags.requests;
  }
  load::Plan plan{.phases = *std::move(phases),
                  .search = flags.search,
                  .arrivals = flags.arrivals == "constant" ? load::Arrivals::kConstant : load::Arrivals::kPoisson,
                  .seed = flags.seed,
                  .max_in_flight = flags.max_in_flight};
  for (const std::string& terms : flags.slo) {
    if (absl::Status status = load::AddTerms(terms, plan.objective); !status.ok()) {
      return Wrong("--slo", status.message());
    }
  }
  if (flags.search && plan.objective.empty()) {
    return Wrong("--search", "it needs an --slo to hold, as --slo p99=500ms");
  }
  if (flags.search && !flags.rate) {
    return Wrong("--search", "it needs a --rate to begin with; it doubles or halves it until it knows more");
  }
  return plan;
}

absl::StatusOr<std::vector<load::ModelShare>> ModelsOf(const LoadFlags& flags) {
  std::vector<load::ModelShare> models;
  for (const std::string& text : flags.models) {
    load::ModelShare model{.name = text};
    if (const std::size_t equals = text.rfind('='); equals != std::string::npos) {
      model.name = text.substr(0, equals);
      if (!absl::SimpleAtod(text.substr(equals + 1), &model.weight) || !(model.weight > 0) ||
          !std::isfinite(model.weight)) {
        return Wrong("--model",
                     absl::StrCat("'", text, "': the weight is not a number above 0, as ", model.name, "=3"));
      }
    }
    for (const load::ModelShare& other : models) {
      if (other.name == model.name) return Wrong("--model", absl::StrCat("'", model.name, "' is named twice"));
    }
    models.push_back(std::move(model));
  }
  return models;
}

absl::StatusOr<absl::Duration> DeadlineOf(const LoadFlags& flags) {
  if (flags.deadline.empty()) return absl::Seconds(flags.common.timeout_s);
  return DurationOf("--deadline", flags.deadline, false);
}

void AddLoadOptions(CLI::App& command, LoadFlags& flags) {
  const std::string how_much = "How much (one of these)";
  auto* const rate = command.add_option("--rate", flags.rate, "Open loop: texts a second, whatever the server does");
  auto* const steps = command.add_option("--steps", flags.steps, "Open loop: one rate after the other, 10,20,40");
  auto* const ramp = command.add_option("--ramp", flags.ramp, "Open loop: a rate that rises or falls evenly, 10:80");
  auto* const streams = command.add_option(
      "--streams", flags.streams, "Closed loop: so many streams, each with one text in flight; 1,8,32: in turn");
  rate->type_name("R")->check(Above(0))->check(Between(0, kMostTextsPerSecond));
  steps->type_name("R,R...")->excludes(rate);
  ramp->type_name("FROM:TO")->excludes(rate)->excludes(steps);
  streams->type_name("N")->excludes(rate)->excludes(steps)->excludes(ramp);
  for (CLI::Option* const option : {rate, steps, ramp, streams}) option->group(how_much);
  command
      .add_option("--arrivals", flags.arrivals,
                  "Open loop: poisson, as of many users who know nothing of each other; or constant, evenly spaced")
      ->type_name("KIND")
      ->check(CLI::IsMember({"poisson", "constant"}).description(""))
      ->capture_default_str();
  command.add_option("--seed", flags.seed, "Of arrivals and synthetic texts")->type_name("N")->capture_default_str();
  command
      .add_option("--duration", flags.duration,
                  "How long to measure each rate, step or number of streams (default: 10s; none with --requests alone)")
      ->type_name("TIME");
  command.add_option("--warmup", flags.warmup, "Before each of them, with the same load; does not count")
      ->type_name("TIME")
      ->capture_default_str();
  command.add_option("--requests", flags.requests, "End each once N texts that count were sent")
      ->type_name("N")
      ->check(AtLeast(1));
  command
      .add_option("-m,--model", flags.models,
                  "Model to load, with its share of the texts as a weight; may be repeated (default: the first served)")
      ->type_name("MODEL[=WEIGHT]")
      ->allow_extra_args(false);
  AddLanguageFlags(command, flags.languages);
  auto* const texts = command.add_option(
      "--texts", flags.texts, "A text a line; or pairs, in a *.tsv or *.jsonl, of which the sources are sent");
  texts->type_name("FILE");
  command.add_option("--lengths", flags.lengths, "Synthetic texts of so many words: 8,16,32 or 5-60 (default: 5-25)")
      ->type_name("WORDS")
      ->excludes(texts);
  auto* const unary = command.add_flag("--unary", flags.unary, "A Translate call for each text (the default)");
  command.add_flag("--stream", flags.stream, "All texts of a model over one StreamTranslate call")->excludes(unary);
  command.add_option("--deadline", flags.deadline, "Of each unary call (default: --timeout)")->type_name("TIME");
  command
      .add_option("--max-in-flight", flags.max_in_flight,
                  "Texts that are due while so many are in flight are not sent, and count as failed")
      ->type_name("N")
      ->check(AtLeast(1))
      ->capture_default_str();
  command
      .add_option("--connections", flags.connections,
                  "Connections, used in turn: a server bounds the calls of each (1024 unless configured)")
      ->type_name("N")
      ->check(Between(1, 1000))
      ->capture_default_str();
  command
      .add_option("--slo", flags.slo,
                  "What is asked of the answers: p99=500ms, p99=500ms,error-rate=1%; may be repeated")
      ->type_name("TERMS")
      ->allow_extra_args(false);
  command.add_flag("--search", flags.search, "Find the highest rate that holds the SLO, beginning with --rate");
  command.add_option("--json", flags.json, "Write the report as JSON, too")->type_name("FILE");
  command.add_option("--html", flags.html, "Write it as one HTML page with charts, too")->type_name("FILE");
  const std::string group = "Decoding (default: what the server configures for the model)";
  command.add_option("--beams", flags.decoding.num_beams, "Beam search with so many beams; 1 is greedy")
      ->type_name("N")
      ->check(AtLeast(1))
      ->group(group);
  command.add_option("--max-new-tokens", flags.decoding.max_new_tokens, "Longest translation, in tokens")
      ->type_name("N")
      ->check(AtLeast(1))
      ->group(group);
  AddCommonFlags(command, flags.common);
}

}  // namespace petit::cli
