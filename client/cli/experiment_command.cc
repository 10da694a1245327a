// petit experiment run
#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/eval_run.h"
#include "client/cli/eval_text.h"
#include "client/eval/experiment.h"
#include "client/eval/experiment_spec.h"
#include "client/report/report.h"
#include "client/report/results.h"

namespace petit::cli {
namespace {

struct ExperimentFlags {
  CommonFlags common;
  std::string file;
  std::string out;
  bool trial = false;
  bool random_weights = false;
};

constexpr double kLongTimeoutSeconds = 600;  // checking a job's spec reads its data; publishing loads a model

int RunExperimentCommand(const ExperimentFlags& flags, Io& io) {
  absl::StatusOr<eval::ExperimentPlan> plan = eval::ReadExperiment(flags.file, flags.common.server);
  if (!plan.ok()) return FailUsage(io, std::string(plan.status().message()));
  if (flags.trial) eval::ShortenForTrial(*plan);
  if (flags.random_weights) plan->evaluation.random_weights = true;
  const std::string directory =
      !flags.out.empty() ? flags.out : plan->evaluation.name + (flags.trial ? ".trial" : ".results");
  const absl::StatusOr<client::ClientOptions> options = ClientOptionsFor(flags.common);
  if (!options.ok()) return FailUsage(io, std::string(options.status().message()));
  const eval::Connections connections{.models =
                                          [&options](const std::string& server) {
                                            client::ClientOptions with_server = *options;
                                            with_server.server = server;
                                            return client::Client::Create(with_server);
                                          },
                                      .jobs =
                                          [&options](const std::string& server) {
                                            client::ClientOptions with_server = *options;
                                            with_server.server = server;
                                            return client::JobClient::Create(with_server);
                                          }};
  EvalDisplay display(io, flags.common.quiet);
  const absl::StatusOr<std::string> json = eval::RunExperiment(
      *plan, {.directory = directory, .command = io.command_line}, connections, display.Surroundings());
  if (!json.ok()) return FailEvaluation(io, json.status(), directory);
  const absl::StatusOr<report::Results> results = report::ParseResults(*json);
  if (!results.ok()) return Fail(io, results.status());
  absl::Status status = eval::WriteWhole(directory + "/report.html", report::FormatHtml(*results));
  if (status.ok()) status = eval::WriteWhole(directory + "/report.md", report::FormatMarkdown(*results));
  if (!status.ok()) return Fail(io, status);
  *io.out << FormatEvaluation(*results);
  if (!flags.common.quiet) *io.err << "petit: the report is " << directory << "/report.html\n";
  return CodeFor(*results);
}

}  // namespace

void AddExperimentCommand(CLI::App& app, Invocation& invocation) {
  CLI::App& experiment = *app.add_subcommand("experiment", "Runs experiments: distillations, evaluations, a report.");
  experiment.require_subcommand(1);
  const auto flags = std::make_shared<ExperimentFlags>();
  CLI::App& command = *experiment.add_subcommand(
      "run",
      "Runs the experiment that a file describes, and writes one folder that has everything.\n"
      "\n"
      "FILE is a textproto of petit.experiment.v1.Experiment; proto/petit/experiment/v1/experiment.proto explains its\n"
      "fields. The folder gets the experiment, versions and hardware, the data's digests, every translation, "
      "results.json\n"
      "and results.csv, the distillations' events, a log, and the report: report.html and report.md. A run that was\n"
      "interrupted goes on when the command is given again.");
  command.footer(std::string("Examples:\n"
                             "  petit experiment run deploy/experiments/demo.textproto --trial\n"
                             "  petit experiment run deploy/experiments/demo.textproto --out demo.results\n\n") +
                 kExitCodesHelp);
  command.add_option("FILE", flags->file, "The experiment")->required()->type_name("FILE");
  command.add_option("-o,--out", flags->out, "The folder (default: NAME.results, of a trial NAME.trial)")
      ->type_name("DIR");
  command.add_flag("--trial", flags->trial,
                   "First see in minutes that everything fits together: 8 pairs of each set, 2 steps of each\n"
                   "distillation, 8 tokens, one timed pass; every page says so");
  command.add_flag("--random-weights", flags->random_weights,
                   "The models' weights mean nothing: every page is stamped RANDOM WEIGHTS");
  AddCommonFlags(command, flags->common, kLongTimeoutSeconds);
  command.callback(
      [&invocation, flags] { invocation.run = [flags](Io& io) { return RunExperimentCommand(*flags, io); }; });
}

}  // namespace petit::cli
