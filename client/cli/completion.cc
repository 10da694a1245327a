#include "client/cli/completion.h"

#include <CLI/CLI.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/help_formatter.h"

namespace petit::cli {
namespace {

using Value = CompletionOption::Value;

Value ValueOf(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return Value::kNone;
  if (option.get_type_name() == "FILE") return Value::kFile;
  if (option.get_type_name() == "DIR") return Value::kDirectory;
  return Value::kText;
}

void Describe(const CLI::App& app, const std::string& parent, std::vector<CompletionCommand>& commands) {
  CompletionCommand command;
  command.path = parent.empty() ? app.get_name() : parent + " " + app.get_name();
  command.description = Summary(app.get_description());
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) {
      // "{bash,zsh,fish}" is how CLI11 writes what IsMember allows.
      const std::string type = option->get_type_name();
      command.takes_files = command.takes_files || type.find("FILE") != std::string::npos;
      const std::size_t open = type.find('{');
      const std::size_t close = type.find('}');
      if (open != std::string::npos && close != std::string::npos) {
        command.words = CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
      }
      continue;
    }
    CompletionOption described{
        .names = {}, .description = Summary(option->get_description()), .value = ValueOf(*option)};
    for (const std::string& name : option->get_snames()) described.names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) described.names.push_back("--" + name);
    command.options.push_back(std::move(described));
  }
  const auto subcommands = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* subcommand : subcommands) command.subcommands.push_back(subcommand->get_name());
  const std::string path = command.path;
  commands.push_back(std::move(command));
  for (const CLI::App* subcommand : subcommands) Describe(*subcommand, path, commands);
}

std::string SingleQuoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

// "petit translate"|"petit models" of all commands but the root, for a case.
std::string PathPatterns(const std::vector<CompletionCommand>& commands) {
  std::vector<std::string> patterns;
  for (std::size_t i = 1; i < commands.size(); ++i) patterns.push_back(absl::StrCat("\"", commands[i].path, "\""));
  return absl::StrJoin(patterns, "|");
}

// "petit translate:--file"|... of the options that want such a value.
std::string OptionPatterns(const std::vector<CompletionCommand>& commands, Value value) {
  std::vector<std::string> patterns;
  for (const CompletionCommand& command : commands) {
    for (const CompletionOption& option : command.options) {
      if (option.value != value) continue;
      for (const std::string& name : option.names)
        patterns.push_back(absl::StrCat("\"", command.path, ":", name, "\""));
    }
  }
  return absl::StrJoin(patterns, "|");
}

std::vector<std::string> Words(const CompletionCommand& command) {
  std::vector<std::string> words = command.subcommands;
  words.insert(words.end(), command.words.begin(), command.words.end());
  for (const CompletionOption& option : command.options) {
    words.insert(words.end(), option.names.begin(), option.names.end());
  }
  return words;
}

}  // namespace

std::vector<CompletionCommand> DescribeCommands(const CLI::App& root) {
  std::vector<CompletionCommand> commands;
  Describe(root, "", commands);
  return commands;
}

std::string BashCompletion(const std::vector<CompletionCommand>& commands) {
  std::string script = absl::StrCat(
      "# bash completion for petit. Use: source <(petit completion bash)\n"
      "_petit() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
      "  local at=petit words='' files='' i\n"
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
      "    case \"$at ${COMP_WORDS[i]}\" in\n"
      "      ",
      PathPatterns(commands), ") at=\"$at ${COMP_WORDS[i]}\" ;;\n", "    esac\n", "  done\n", "  COMPREPLY=()\n",
      "  case \"$at:$previous\" in\n");
  const auto add_values = [&](Value value, const char* reply) {
    const std::string patterns = OptionPatterns(commands, value);
    if (!patterns.empty()) absl::StrAppend(&script, "    ", patterns, ") ", reply, "return ;;\n");
  };
  add_values(Value::kFile, "mapfile -t COMPREPLY < <(compgen -f -- \"$current\"); ");
  add_values(Value::kDirectory, "mapfile -t COMPREPLY < <(compgen -d -- \"$current\"); ");
  add_values(Value::kText, "");
  absl::StrAppend(&script, "  esac\n", "  case \"$at\" in\n");
  for (const CompletionCommand& command : commands) {
    absl::StrAppend(&script, "    \"", command.path, "\") words=", SingleQuoted(absl::StrJoin(Words(command), " ")),
                    command.takes_files ? " files=1" : "", " ;;\n");
  }
  absl::StrAppend(&script,
                  "  esac\n"
                  "  if [[ -n $files && $current != -* ]]; then\n"
                  "    mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
                  "  else\n"
                  "    # Options are offered once a dash was typed, or where nothing else can follow.\n"
                  "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
                  "  fi\n"
                  "}\n"
                  "complete -o filenames -F _petit petit\n");
  return script;
}

std::string ZshCompletion(const std::vector<CompletionCommand>& commands) {
  std::string script = absl::StrCat(
      "#compdef petit\n"
      "# zsh completion for petit. Use: petit completion zsh > \"${fpath[1]}/_petit\"\n"
      "_petit() {\n"
      "  local at=petit word\n"
      "  local -a items\n"
      "  for word in \"${(@)words[2,CURRENT-1]}\"; do\n"
      "    case \"$at $word\" in\n"
      "      ",
      PathPatterns(commands), ") at=\"$at $word\" ;;\n", "    esac\n", "  done\n",
      "  case \"$at:${words[CURRENT-1]}\" in\n");
  const auto add_values = [&](Value value, const char* reply) {
    const std::string patterns = OptionPatterns(commands, value);
    if (!patterns.empty()) absl::StrAppend(&script, "    ", patterns, ") ", reply, "; return ;;\n");
  };
  add_values(Value::kFile, "_files");
  add_values(Value::kDirectory, "_files -/");
  add_values(Value::kText, "_message value");
  absl::StrAppend(&script, "  esac\n", "  case \"$at\" in\n");
  for (const CompletionCommand& command : commands) {
    std::vector<std::string> items;
    // _describe splits a name from its description at the first colon.
    const auto item = [](const std::string& name, const std::string& description) {
      return SingleQuoted(absl::StrCat(absl::StrReplaceAll(name, {{":", "\\:"}}), ":", description));
    };
    for (const std::string& name : command.subcommands) {
      for (const CompletionCommand& other : commands) {
        if (other.path == absl::StrCat(command.path, " ", name)) items.push_back(item(name, other.description));
      }
    }
    for (const std::string& word : command.words) items.push_back(SingleQuoted(word));
    for (const CompletionOption& option : command.options) {
      for (const std::string& name : option.names) items.push_back(item(name, option.description));
    }
    absl::StrAppend(&script, "    \"", command.path, "\")", command.takes_files ? " _files;" : "", "\n      items=(",
                    absl::StrJoin(items, "\n        "), ") ;;\n");
  }
  absl::StrAppend(&script,
                  "  esac\n"
                  "  _describe petit items\n"
                  "}\n"
                  "if [[ ${funcstack[1]} == _petit ]]; then _petit \"$@\"; else compdef _petit petit; fi\n");
  return script;
}

std::string FishCompletion(const std::vector<CompletionCommand>& commands) {
  std::string script = absl::StrCat(
      "# fish completion for petit. Use: petit completion fish > ~/.config/fish/completions/petit.fish\n"
      "function __petit_at\n"
      "  set -l at petit\n"
      "  for word in (commandline -opc)[2..-1]\n"
      "    switch \"$at $word\"\n"
      "      case ");
  for (std::size_t i = 1; i < commands.size(); ++i) absl::StrAppend(&script, "\"", commands[i].path, "\" ");
  absl::StrAppend(&script,
                  "\n        set at \"$at $word\"\n"
                  "    end\n"
                  "  end\n"
                  "  test \"$at\" = \"$argv\"\n"
                  "end\n"
                  "complete -c petit -f\n");
  for (const CompletionCommand& command : commands) {
    const std::string start = absl::StrCat("complete -c petit -n '__petit_at ", command.path, "'");
    for (const std::string& name : command.subcommands) {
      for (const CompletionCommand& other : commands) {
        if (other.path != absl::StrCat(command.path, " ", name)) continue;
        absl::StrAppend(&script, start, " -a ", name, " -d ", SingleQuoted(other.description), "\n");
      }
    }
    if (!command.words.empty()) absl::StrAppend(&script, start, " -a '", absl::StrJoin(command.words, " "), "'\n");
    if (command.takes_files) absl::StrAppend(&script, start, " -F\n");
    for (const CompletionOption& option : command.options) {
      absl::StrAppend(&script, start);
      for (const std::string& name : option.names) {
        absl::StrAppend(&script, name.starts_with("--") ? " -l " : " -s ", name.substr(name.starts_with("--") ? 2 : 1));
      }
      static constexpr const char* kValueFlags[] = {"", " -x", " -r -F", " -x -a '(__fish_complete_directories)'"};
      absl::StrAppend(&script, kValueFlags[static_cast<int>(option.value)], " -d ", SingleQuoted(option.description),
                      "\n");
    }
  }
  return script;
}

}  // namespace petit::cli
