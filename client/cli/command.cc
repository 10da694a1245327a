#include "client/cli/command.h"

#include <CLI/CLI.hpp>
#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/validators.h"

namespace petit::cli {

const char kExitCodesHelp[] =
    "Exit codes:\n"
    "  0    everything was done\n"
    "  1    some texts failed; each is named on standard error\n"
    "  2    the command line or an input file cannot be used\n"
    "  3    no server answers\n"
    "  4    the server refused or failed\n"
    "  130  interrupted";

void AddCommonFlags(CLI::App& command, CommonFlags& flags, double timeout_s) {
  flags.timeout_s = timeout_s;
  flags.server = "127.0.0.1:50051";
  command.add_option("--server", flags.server, "Server to ask")
      ->envname("PETIT_SERVER")
      ->type_name("HOST:PORT")
      ->capture_default_str()
      ->group("Common options");
  command.add_option("--timeout", flags.timeout_s, "Longest wait for an answer, in seconds")
      ->type_name("SECONDS")
      ->check(Above(0))
      ->capture_default_str()
      ->group("Common options");
  command.add_flag("-q,--quiet", flags.quiet, "No progress and no remarks; errors are still printed")
      ->group("Common options");
}

void AddLanguageFlags(CLI::App& command, LanguageFlags& flags) {
  flags.from = "en";
  flags.to = "fr";
  command.add_option("--from", flags.from, "Language of the texts")->type_name("LANGUAGE")->capture_default_str();
  command.add_option("--to", flags.to, "Language wanted")->type_name("LANGUAGE")->capture_default_str();
  command.add_option("--prompt", flags.prompt, "Put before each text in place of the languages' prompt")
      ->type_name("TEXT");
}

absl::StatusOr<client::Client> Connect(const CommonFlags& flags) {
  return client::Client::Create({.server = flags.server,
                                 .timeout = absl::Seconds(flags.timeout_s),
                                 .model_timeout = absl::Seconds(flags.timeout_s),
                                 .user_agent = absl::StrCat("petit-cli/", PETIT_VERSION)});
}

client::CallOptions CallFor(const Io& io) { return {.cancellation = io.cancellation}; }

absl::StatusOr<std::string> ChooseModel(const client::Client& client, const std::string& asked,
                                        const LanguageFlags& languages, const Io& io) {
  if (!asked.empty()) return asked;
  const absl::StatusOr<std::vector<client::Model>> models = client.ListModels(CallFor(io));
  if (!models.ok()) return models.status();
  std::vector<std::string> names;
  for (const client::Model& model : *models) {
    names.push_back(model.name);
    if (model.Served() == nullptr) continue;
    if (languages.prompt) return model.name;
    for (const client::LanguagePair& pair : model.language_pairs) {
      if (pair.source == languages.from && pair.target == languages.to) return model.name;
    }
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "the server serves no model from ", languages.from, " to ", languages.to, "; it is configured with: ",
      names.empty() ? "none" : absl::StrJoin(names, ", "), " (petit models list tells more)"));
}

std::string Describe(const absl::Status& status) {
  std::string id = client::RequestId(status);
  const absl::string_view message = status.message();
  if (absl::StrContains(message, id)) id.clear();  // the server has said it
  return absl::StrCat(absl::StatusCodeToString(status.code()), message.empty() ? "" : ": ", message,
                      id.empty() ? "" : absl::StrCat(" (request ", id, ")"));
}

int Fail(const Io& io, const absl::Status& status) {
  if (absl::IsCancelled(status) && io.cancellation != nullptr && io.cancellation->cancelled()) {
    *io.err << "petit: interrupted\n";
    return kExitInterrupted;
  }
  if (client::IsServerUnreachable(status)) {
    *io.err << "petit: " << std::string(status.message())
            << "; start one with ./dev serve, or name another with --server or PETIT_SERVER\n";
    return kExitUnreachable;
  }
  *io.err << "petit: " << Describe(status) << "\n";
  return kExitServerError;
}

int FailUsage(const Io& io, const std::string& message) {
  *io.err << "petit: " << message << "\n";
  return kExitUsage;
}

int Finish(const Io& io, int code) {
  io.out->flush();
  return io.out->good() ? code : kExitBrokenPipe;
}

}  // namespace petit::cli
