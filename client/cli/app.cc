#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "client/cli/help_formatter.h"

namespace petit::cli {
namespace {

constexpr char kDescription[] =
    "petit talks to a Petit translation server: it translates, looks after the models, measures them, and\n"
    "distils new ones.";

constexpr char kFooter[] =
    "Examples:\n"
    "  petit translate \"Good morning.\"\n"
    "  petit translate --model teacher --beams 4 --file english.txt > french.txt\n"
    "  petit models list\n"
    "  petit jobs create --spec job.textproto --watch\n"
    "  petit eval test.tsv --model teacher --model student\n"
    "  petit load --model student --rate 40 --slo p99=500ms\n"
    "  petit score french.txt reference.txt\n"
    "  petit report results.json\n"
    "\n"
    "`petit COMMAND --help` tells all about a command. Environment: PETIT_SERVER is the server to ask, PETIT_MODEL\n"
    "the model to use.";

// The command that the arguments had got to, for the hint after an error: "petit models load".
std::string CommandPath(const CLI::App& app) {
  std::string path = app.get_name();
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    path += " " + at->get_name();
  }
  return path;
}

// CLI11's words for the usual mistakes, made shorter.
std::string Explain(const CLI::ParseError& error) {
  std::string what = error.what();
  constexpr std::string_view kExtra[] = {"The following argument was not expected: ",
                                         "The following arguments were not expected: "};
  for (const std::string_view start : kExtra) {
    if (!what.starts_with(start)) continue;
    const std::string rest = what.substr(start.size());
    return rest.starts_with("-") ? "there is no option " + rest : "'" + rest + "' means nothing here";
  }
  if (what == "A subcommand is required") return "a subcommand is wanted";
  return what;
}

}  // namespace

int RunPetit(const std::vector<std::string>& arguments, Io& io) {
  CLI::App app(kDescription, "petit");
  const auto formatter = std::make_shared<HelpFormatter>();
  formatter->column_width(30);
  app.formatter(formatter);
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.footer(kFooter);
  app.set_version_flag("--version", "petit " PETIT_VERSION, "Print the version and exit");
  app.require_subcommand(0, 1);
  Invocation invocation;
  io.command_line = absl::StrCat("petit ", absl::StrJoin(arguments, " "));
  AddTranslateCommand(app, invocation);
  AddModelsCommand(app, invocation);
  AddInfoCommand(app, invocation);
  AddJobsCommand(app, invocation);
  AddEvalCommand(app, invocation);
  AddLoadCommand(app, invocation);
  AddExperimentCommand(app, invocation);
  AddScoreCommand(app, invocation);
  AddReportCommand(app, invocation);
  AddDataCommand(app, invocation);
  AddTokenCommand(app, invocation);
  AddCompletionCommand(app, invocation);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
    app.parse(reversed);
  } catch (const CLI::Success& success) {  // --help, --version
    app.exit(success, *io.out, *io.err);
    return Finish(io, kExitOk);
  } catch (const CLI::ParseError& error) {
    const std::string path = CommandPath(app);
    *io.err << path << ": " << Explain(error) << "\nTry `" << path << " --help`.\n";
    return kExitUsage;
  }
  if (!invocation.run) {
    *io.err << app.help();
    return kExitUsage;
  }
  return Finish(io, invocation.run(io));
}

}  // namespace petit::cli
