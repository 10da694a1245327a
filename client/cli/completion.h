// Completion scripts for shells, made from the tree of commands.
#ifndef PETIT_CLIENT_CLI_COMPLETION_H_
#define PETIT_CLIENT_CLI_COMPLETION_H_

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace petit::cli {

struct CompletionOption {
  std::vector<std::string> names;  // "-m", "--model"
  std::string description;
  enum class Value { kNone, kText, kFile, kDirectory } value = Value::kNone;
};

struct CompletionCommand {
  std::string path;  // "petit models load"
  std::string description;
  std::vector<CompletionOption> options;
  std::vector<std::string> subcommands;  // last words of their paths
  std::vector<std::string> words;        // what an argument may be, where that is a fixed set
  bool takes_files = false;              // whether an argument is a file
};

// The root first, parents before children. An option whose type name is FILE or DIR completes to those.
std::vector<CompletionCommand> DescribeCommands(const CLI::App& root);

std::string BashCompletion(const std::vector<CompletionCommand>& commands);
std::string ZshCompletion(const std::vector<CompletionCommand>& commands);
std::string FishCompletion(const std::vector<CompletionCommand>& commands);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_COMPLETION_H_
