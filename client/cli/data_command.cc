// petit data demo
#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>
#include <string_view>

#include "client/cli/command.h"
#include "client/cli/table.h"
#include "client/data/demo_data.h"

namespace petit::cli {
namespace {

struct DemoFlags {
  data::DemoDataOptions options;
  bool quiet = false;
};

int RunDemo(const DemoFlags& flags, Io& io) {
  // apt-get works for minutes in a process of its own: Ctrl-C is to end both.
  if (io.restore_signals) io.restore_signals();
  const absl::StatusOr<data::DemoData> demo = data::BuildDemoData(flags.options, [&](std::string_view what) {
    if (!flags.quiet) *io.err << "petit: " << what << std::endl;
  });
  if (!demo.ok()) {
    *io.err << "petit: " << Describe(demo.status()) << "\n";
    return absl::IsInvalidArgument(demo.status()) ? kExitUsage : kExitTextsFailed;
  }
  Table table({{.title = "FILE"}, {.title = "PAIRS", .align = Table::Align::kRight}, {.title = "SHA-256"}});
  for (const data::DemoDataFile& file : demo->files) {
    table.AddRow({file.name, std::to_string(file.pairs), file.sha256});
  }
  *io.out << table.Format();
  if (!flags.quiet) {
    *io.err << "petit: " << flags.options.out_dir << " holds the descriptions of " << demo->suite << " of "
            << demo->date << (demo->reused ? "; everything was there already" : "") << "\n";
  }
  return kExitOk;
}

}  // namespace

void AddDataCommand(CLI::App& app, Invocation& invocation) {
  CLI::App& data = *app.add_subcommand("data", "Makes data sets to train and to evaluate with.");
  data.require_subcommand(1);
  const auto flags = std::make_shared<DemoFlags>();
  CLI::App& command = *data.add_subcommand(
      "demo",
      "Builds the demo's data sets from the package descriptions of a Debian or Ubuntu archive.\n"
      "\n"
      "Sentences of the English descriptions are paired with those of their French and Korean translations. The\n"
      "archive is asked through a private state of apt's: the machine's own is left as it is.");
  command.footer(
      "Examples:\n"
      "  petit data demo --out demo-data\n"
      "  petit data demo --out demo-data --suite bookworm --mirror http://mirror.example/debian\n"
      "  petit eval demo-data/test.en-fr.tsv --model teacher --model student\n"
      "\n"
      "Exit codes:\n"
      "  0    the data are there\n"
      "  1    they could not be fetched or written\n"
      "  2    the command line cannot be used");
  data::DemoDataOptions& options = flags->options;
  command.add_option("-o,--out", options.out_dir, "Directory for the sets and their manifest.json")
      ->required()
      ->type_name("DIR");
  command.add_option("--suite", options.suite, "Release to read: bookworm, noble ... Default: this machine's own")
      ->type_name("NAME");
  command.add_option("--mirror", options.mirror, "Archive to read. Default: this machine's own")->type_name("URL");
  command.add_flag("--refresh", options.refresh, "Build again what is there already");
  command.add_flag("-q,--quiet", flags->quiet, "Say nothing of what happens; errors are still printed");
  command.callback([&invocation, flags] { invocation.run = [flags](Io& io) { return RunDemo(*flags, io); }; });
}

}  // namespace petit::cli
