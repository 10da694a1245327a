// How help texts look.
#ifndef PETIT_CLIENT_CLI_HELP_FORMATTER_H_
#define PETIT_CLIENT_CLI_HELP_FORMATTER_H_

#include <CLI/CLI.hpp>
#include <string>

namespace petit::cli {

// CLI11's, but: a command's list shows the first sentence of each; what an option needs and excludes is left to error
// messages; defaults and environment variables stand at the end of the description.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_subcommand(const CLI::App* subcommand) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
};

// The first sentence of a description, without its full stop.
std::string Summary(const std::string& description);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_HELP_FORMATTER_H_
