// petit report
#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <ostream>
#include <sstream>
#include <string>

#include "client/cli/command.h"
#include "client/report/report.h"

namespace petit::cli {
namespace {

struct ReportFlags {
  std::string results;
  std::string html;
  std::string markdown;
  std::string title;
};

// "PATH: No such file or directory", after an operation of the system's.
std::string Why(const std::filesystem::path& path) { return path.string() + ": " + std::strerror(errno); }

int RunReport(const ReportFlags& flags, Io& io) {
  std::filesystem::path path = flags.results;
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) path /= "results.json";
  errno = 0;
  const std::ifstream in(path, std::ios::binary);
  std::ostringstream json;
  if (!in || !(json << in.rdbuf())) return FailUsage(io, Why(path));
  absl::StatusOr<report::Results> results = report::ParseResults(json.str());
  if (!results.ok()) return FailUsage(io, path.string() + ": " + std::string(results.status().message()));
  if (!flags.title.empty()) results->title = flags.title;

  const auto write = [&](const std::string& asked, const char* name, const std::string& text) {
    const std::filesystem::path to = asked.empty() ? path.parent_path() / name : std::filesystem::path(asked);
    errno = 0;
    std::ofstream out(to, std::ios::binary | std::ios::trunc);
    if (!(out << text) || !out.flush()) return FailUsage(io, Why(to));
    *io.out << to.string() << "\n";
    return static_cast<int>(kExitOk);
  };
  const int code = write(flags.html, "report.html", report::FormatHtml(*results));
  return code != kExitOk ? code : write(flags.markdown, "report.md", report::FormatMarkdown(*results));
}

}  // namespace

void AddReportCommand(CLI::App& app, Invocation& invocation) {
  const auto flags = std::make_shared<ReportFlags>();
  CLI::App& command = *app.add_subcommand(
      "report",
      "Makes a page of an evaluation's results.\n"
      "\n"
      "The HTML page holds all that it needs, charts included, and loads nothing. The Markdown is for pull requests.\n"
      "Prints the names of the files that it wrote.");
  command.footer(
      "Examples:\n"
      "  petit report results.json\n"
      "  petit report runs/demo --title \"Distillation against quantization\"\n"
      "  petit report results.json --html site/index.html --markdown comment.md\n"
      "\n"
      "Exit codes:\n"
      "  0    the files are there\n"
      "  2    the command line, or a file, cannot be used");
  command.add_option("results", flags->results, "What `petit eval --json` wrote, or a folder with a results.json")
      ->required()
      ->type_name("RESULTS");
  command.add_option("--html", flags->html, "The page. Default: report.html beside the results")->type_name("FILE");
  command.add_option("--markdown", flags->markdown, "The Markdown. Default: report.md beside the results")
      ->type_name("FILE");
  command.add_option("--title", flags->title, "Default: the results' own")->type_name("TEXT");
  command.callback([&invocation, flags] { invocation.run = [flags](Io& io) { return RunReport(*flags, io); }; });
}

}  // namespace petit::cli
