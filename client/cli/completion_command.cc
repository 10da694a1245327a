// petit completion bash|zsh|fish
#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "client/cli/command.h"
#include "client/cli/completion.h"

namespace petit::cli {

void AddCompletionCommand(CLI::App& app, Invocation& invocation) {
  const auto shell = std::make_shared<std::string>();
  CLI::App& command =
      *app.add_subcommand("completion", "Prints a script that makes a shell complete petit's commands.");
  command.footer(
      "Examples:\n"
      "  source <(petit completion bash)\n"
      "  petit completion zsh > \"${fpath[1]}/_petit\"\n"
      "  petit completion fish > ~/.config/fish/completions/petit.fish");
  command.add_option("SHELL", *shell, "The shell")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command.callback([&app, &invocation, shell] {
    invocation.run = [&app, shell](Io& io) {
      const std::vector<CompletionCommand> commands = DescribeCommands(app);
      *io.out << (*shell == "bash"  ? BashCompletion(commands)
                  : *shell == "zsh" ? ZshCompletion(commands)
                                    : FishCompletion(commands));
      return kExitOk;
    };
  });
}

}  // namespace petit::cli
