// What every command of `petit` gets and gives: its streams, its flags, its exit codes.
#ifndef PETIT_CLIENT_CLI_COMMAND_H_
#define PETIT_CLIENT_CLI_COMMAND_H_

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/lib/client.h"

namespace CLI {
class App;
}

namespace petit::cli {

enum ExitCode : int {
  kExitOk = 0,
  kExitTextsFailed = 1,  // or a watched job
  kExitUsage = 2,
  kExitUnreachable = 3,
  kExitServerError = 4,
  kExitObjectiveBroken = 5,  // petit load --slo
  kExitInterrupted = 130,    // as the shell reports SIGINT
  kExitBrokenPipe = 141,     // as the shell reports SIGPIPE
};

struct TerminalSize {
  int columns = 80;
  int rows = 24;
};

// The process' surroundings, so that tests can put their own in place.
struct Io {
  std::string command_line = {};  // what was typed
  int in_fd = 0;
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  // Of the terminal that `out` is; it may change. Null: TerminalSize's own.
  std::function<TerminalSize()> terminal_size = nullptr;
  client::Cancellation* cancellation = nullptr;  // Ctrl-C
  int interrupt_fd = -1;                         // readable after Ctrl-C
  // Gives the signals back their default, for work that Ctrl-C may simply kill. May be null.
  std::function<void()> restore_signals = nullptr;
};

// A command's callback leaves its work here; it runs after the whole command line has been read.
struct Invocation {
  std::function<int(Io&)> run;
};

struct CommonFlags {
  std::string server;
  double timeout_s = 0;
  bool quiet = false;
  bool tls = false;
  client::TlsOptions tls_options = {};
  std::string token_file = {};
};

struct LanguageFlags {
  std::string from;
  std::string to;
  std::optional<std::string> prompt;
};

void AddCommonFlags(CLI::App& command, CommonFlags& flags, double timeout_s = 60);
void AddLanguageFlags(CLI::App& command, LanguageFlags& flags);

// The exit codes' part of a help text.
extern const char kExitCodesHelp[];

// For the flags' server, with their TLS and their token: of --token-file, PETIT_TOKEN or PETIT_TOKEN_FILE.
// INVALID_ARGUMENT: a token file that cannot be used.
absl::StatusOr<client::ClientOptions> ClientOptionsFor(const CommonFlags& flags);
absl::StatusOr<client::Client> Connect(const CommonFlags& flags);
client::CallOptions CallFor(const Io& io);

// `asked`, or the first model that the server serves for these languages.
absl::StatusOr<std::string> ChooseModel(const client::Client& client, const std::string& asked,
                                        const LanguageFlags& languages, const Io& io);

// Prints "petit: message", with what to do about it where that is known, and returns the exit code for it.
int Fail(const Io& io, const absl::Status& status);
// The same for a command line or a file that cannot be used.
int FailUsage(const Io& io, const std::string& message);
// Flushes; kExitBrokenPipe where the reader of the output has gone, else `code`.
int Finish(const Io& io, int code);

// "NOT_FOUND: there is no model 'x' (request 4f2c)".
std::string Describe(const absl::Status& status);

void AddTranslateCommand(CLI::App& app, Invocation& invocation);
void AddModelsCommand(CLI::App& app, Invocation& invocation);
void AddInfoCommand(CLI::App& app, Invocation& invocation);
void AddJobsCommand(CLI::App& app, Invocation& invocation);
void AddEvalCommand(CLI::App& app, Invocation& invocation);
void AddLoadCommand(CLI::App& app, Invocation& invocation);
void AddExperimentCommand(CLI::App& app, Invocation& invocation);
void AddScoreCommand(CLI::App& app, Invocation& invocation);
void AddReportCommand(CLI::App& app, Invocation& invocation);
void AddDataCommand(CLI::App& app, Invocation& invocation);
void AddTokenCommand(CLI::App& app, Invocation& invocation);
void AddCompletionCommand(CLI::App& app, Invocation& invocation);

// The whole program. `arguments` without the program's name.
int RunPetit(const std::vector<std::string>& arguments, Io& io);

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_COMMAND_H_
