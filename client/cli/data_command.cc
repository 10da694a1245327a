// petit data
#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/progress.h"
#include "client/cli/table.h"
#include "client/cli/validators.h"
#include "client/data/corpus.h"
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

struct ImportFlags {
  data::ImportOptions options;
  std::string format;
  bool quiet = false;
};

struct OpusFlags {
  data::OpusOptions options;
  bool quiet = false;
};

constexpr char kExitCodes[] =
    "Exit codes:\n"
    "  0    the sets are there\n"
    "  1    they could not be read, fetched or written\n"
    "  2    the command line or the file cannot be used\n"
    "  130  interrupted";

int FailData(const Io& io, const absl::Status& status) {
  if (absl::IsCancelled(status)) return Fail(io, status);
  *io.err << "petit: " << Describe(status) << "\n";
  return absl::IsInvalidArgument(status) ? kExitUsage : kExitTextsFailed;
}

void PrintSets(const Io& io, const data::WrittenSets& sets, bool quiet) {
  Table table({{.title = "FILE"}, {.title = "PAIRS", .align = Table::Align::kRight}, {.title = "SHA-256"}});
  for (const data::SetFile& file : sets.files) table.AddRow({file.name, std::to_string(file.pairs), file.sha256});
  *io.out << table.Format();
  if (quiet) return;
  *io.err << "petit: of " << sets.counts.there << " pairs " << sets.counts.empty << " were dropped for an empty side; "
          << sets.counts.unused << " are in no set\n";
}

int RunImport(const ImportFlags& flags, Io& io) {
  data::ImportOptions options = flags.options;
  options.interrupt_fd = io.interrupt_fd;
  if (!flags.format.empty()) {
    options.format = flags.format == "csv" ? data::CorpusFormat::kCsv : data::CorpusFormat::kJsonl;
  }
  const absl::StatusOr<data::WrittenSets> sets = data::ImportCorpus(options);
  if (absl::IsNotFound(sets.status())) return FailUsage(io, std::string(sets.status().message()));
  if (!sets.ok()) return FailData(io, sets.status());
  PrintSets(io, *sets, flags.quiet);
  return kExitOk;
}

int RunOpus(const OpusFlags& flags, Io& io) {
  constexpr std::int64_t kMegabyte = 1000000;
  data::OpusOptions options = flags.options;
  options.interrupt_fd = io.interrupt_fd;
  std::optional<Progress> progress;
  options.progress = [&](std::int64_t have, std::int64_t total) {
    if (!progress) {
      progress.emplace(
          *io.err,
          Progress::Options{
              .label = "fetching", .unit = "MB", .total = total, .enabled = io.err_is_terminal && !flags.quiet});
    }
    progress->Update(have / kMegabyte, have);
  };
  options.tell = [&](std::string_view what) {
    if (progress) progress->Wipe();
    if (!flags.quiet) *io.err << "petit: " << what << std::endl;
  };
  const absl::StatusOr<data::OpusSets> sets = data::FetchOpus(options);
  progress.reset();
  if (!sets.ok()) return FailData(io, sets.status());
  PrintSets(io, sets->sets, flags.quiet);
  *io.out << "source   " << sets->url << "\nsha256   " << sets->sha256
          << "\norder    OPUS order, not the report's order\n";
  return kExitOk;
}

void AddSetFlags(CLI::App& command, std::string& out_dir, data::SplitRule& split, bool& quiet) {
  command.add_option("-o,--out", out_dir, "Directory for the sets and their manifest.json")
      ->required()
      ->type_name("DIR");
  command.add_option("--train", split.train, "Pairs to train with: the first ones")
      ->type_name("PAIRS")
      ->check(AtLeast(1))
      ->capture_default_str();
  command.add_option("--test", split.test, "Pairs to test with: those after them")
      ->type_name("PAIRS")
      ->check(AtLeast(1))
      ->capture_default_str();
  command.add_option("--dev", split.dev, "Pairs to choose checkpoints by: up to so many after those")
      ->type_name("PAIRS")
      ->check(AtLeast(0))
      ->capture_default_str();
  command.add_flag("-q,--quiet", quiet, "Say nothing of what happens; errors are still printed");
}

void AddImportCommand(CLI::App& data, Invocation& invocation) {
  const auto flags = std::make_shared<ImportFlags>();
  CLI::App& command = *data.add_subcommand(
      "import",
      "Makes sets of an exported English-French corpus.\n"
      "\n"
      "Made for Nicolas-BZRD/Parallel_Global_Voices_English_French, the corpus of the report \"Knowledge Distillation\n"
      "vs Quantization\", and its split: the first 10,000 pairs are to train with, the next 2,000 to test with; the\n"
      "report names none to choose checkpoints by, so 500 after them are. Writes train.en-fr.tsv, test.en-fr.tsv,\n"
      "test.fr-en.tsv, dev.en-fr.tsv and manifest.json.");
  command.footer(absl::StrCat(
      "To export the corpus, with Python and the package `datasets`:\n"
      "  from datasets import load_dataset\n"
      "  load_dataset(\"Nicolas-BZRD/Parallel_Global_Voices_English_French\", split=\"train\").to_json(\"gv.jsonl\")\n"
      "\n"
      "Examples:\n"
      "  petit data import gv.jsonl --out global-voices\n"
      "  petit data import gv.csv.gz --out global-voices --source-field English --target-field French\n"
      "\n"
      "FILE is JSON Lines (an object a line) or CSV with the columns' names in its first line, plain or compressed "
      "with\n"
      "gzip, xz or zstd. A text's tabs and line breaks become spaces; a pair with an empty side is dropped.\n"
      "\n",
      kExitCodes));
  data::ImportOptions& options = flags->options;
  command.add_option("FILE", options.file, "The exported corpus")->required()->type_name("");
  AddSetFlags(command, options.out_dir, options.split, flags->quiet);
  command.add_option("--format", flags->format, "What FILE is. Default: by its name")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"jsonl", "csv"}));
  command.add_option("--source-field", options.source_field, "Field or column of the English text. Default: en")
      ->type_name("NAME");
  command.add_option("--target-field", options.target_field, "Field or column of the French text. Default: fr")
      ->type_name("NAME");
  command.callback([&invocation, flags] { invocation.run = [flags](Io& io) { return RunImport(*flags, io); }; });
}

void AddOpusCommand(CLI::App& data, Invocation& invocation) {
  const auto flags = std::make_shared<OpusFlags>();
  CLI::App& command = *data.add_subcommand(
      "opus",
      "Fetches OPUS' GlobalVoices and makes English-French sets of it.\n"
      "\n"
      "The same texts as the report's, in another order: figures are comparable in kind, not pair by pair. `petit "
      "data\n"
      "import` makes the report's split. A download that was cut off goes on where it was; the proxy that the\n"
      "environment names is used.");
  command.footer(
      absl::StrCat("Examples:\n"
                   "  petit data opus --out global-voices\n"
                   "  petit data opus --out global-voices --mirror http://mirror.example --sha256 HEX\n"
                   "\n",
                   kExitCodes));
  data::OpusOptions& options = flags->options;
  AddSetFlags(command, options.out_dir, options.split, flags->quiet);
  CLI::Option* url = command
                         .add_option("--url", options.url,
                                     absl::StrCat("Archive to fetch. Default: ", data::kOpusServer, data::kOpusPath))
                         ->type_name("URL");
  command.add_option("--mirror", options.mirror, absl::StrCat("Server in place of ", data::kOpusServer))
      ->type_name("URL")
      ->excludes(url);
  command.add_option("--sha256", options.sha256, "What the archive must be. Default: whatever comes; it is recorded")
      ->type_name("HEX");
  command.callback([&invocation, flags] { invocation.run = [flags](Io& io) { return RunOpus(*flags, io); }; });
}

void AddDemoCommand(CLI::App& data, Invocation& invocation) {
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

}  // namespace

void AddDataCommand(CLI::App& app, Invocation& invocation) {
  CLI::App& data = *app.add_subcommand("data", "Makes data sets to train and to evaluate with.");
  data.require_subcommand(1);
  AddDemoCommand(data, invocation);
  AddImportCommand(data, invocation);
  AddOpusCommand(data, invocation);
}

}  // namespace petit::cli
