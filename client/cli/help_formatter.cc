#include "client/cli/help_formatter.h"

#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace petit::cli {

std::string Summary(const std::string& description) {
  std::string line = description.substr(0, description.find('\n'));
  line = line.substr(0, line.find(". "));
  if (line.ends_with('.')) line.pop_back();
  return line;
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const {
  std::string help = CLI::Formatter::make_help(app, std::move(name), mode);
  while (help.find("\n\n\n") != std::string::npos) help = absl::StrReplaceAll(help, {{"\n\n\n", "\n\n"}});
  return help;
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string name) const {
  return absl::StrCat("\n", CLI::Formatter::make_usage(app, std::move(name)));
}

std::string HelpFormatter::make_subcommand(const CLI::App* subcommand) const {
  std::ostringstream out;
  CLI::detail::format_help(out, subcommand->get_name(), Summary(subcommand->get_description()), 18);
  return out.str();
}

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  if (option->get_type_size() == 0) return {};
  // A positional's name says it all; the type of a checked one is its set of words.
  const std::string type = option->get_type_name();
  if (option->get_positional()) {
    const std::size_t set = type.find('{');
    return set == std::string::npos ? std::string() : absl::StrCat(" ", type.substr(set));
  }
  return type.empty() ? std::string() : absl::StrCat(" ", type);
}

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const {
  std::vector<std::string> notes;
  if (!option->get_envname().empty()) notes.push_back("$" + option->get_envname());
  if (!option->get_default_str().empty()) notes.push_back(option->get_default_str());
  if (notes.empty()) return option->get_description();
  return absl::StrCat(option->get_description(), " [", absl::StrJoin(notes, ", else "), "]");
}

}  // namespace petit::cli
