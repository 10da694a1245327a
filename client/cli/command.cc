#include "client/cli/command.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <ostream>

#include "absl/strings/ascii.h"
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

namespace {

void AddSecurityFlags(CLI::App& command, CommonFlags& flags) {
  constexpr char kGroup[] = "Security options";
  command.add_flag("--tls", flags.tls, "Connect over TLS; the four options below imply it")
      ->envname("PETIT_TLS")
      ->group(kGroup);
  const auto file = [&](const char* name, std::string& value, const char* environment, const char* description) {
    command.add_option(name, value, description)->envname(environment)->type_name("FILE")->group(kGroup);
  };
  file("--ca", flags.tls_options.ca_file, "PETIT_CA",
       "Authorities that the server's certificate may be of (PEM; default: the system's)");
  file("--cert", flags.tls_options.certificate_file, "PETIT_CERT",
       "Certificate to show to the server (PEM; with --key)");
  file("--key", flags.tls_options.key_file, "PETIT_KEY", "Its private key (PEM)");
  command
      .add_option("--server-name", flags.tls_options.server_name,
                  "Name that the server's certificate has, where it is not --server's host")
      ->envname("PETIT_SERVER_NAME")
      ->type_name("NAME")
      ->group(kGroup);
  // PETIT_TOKEN_FILE comes after PETIT_TOKEN, which CLI11 cannot say. A token itself is no argument: others on the
  // machine can read those.
  command
      .add_option("--token-file", flags.token_file,
                  "File with the token that says who calls (also PETIT_TOKEN_FILE; PETIT_TOKEN is the token itself)")
      ->type_name("FILE")
      ->group(kGroup);
}

absl::StatusOr<std::string> ReadTokenFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string token((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file && token.empty())
    return absl::InvalidArgumentError(absl::StrCat("the token file ", path, " cannot be read"));
  token = std::string(absl::StripAsciiWhitespace(token));
  if (token.empty()) return absl::InvalidArgumentError(absl::StrCat("the token file ", path, " is empty"));
  return token;
}

// "" where the environment has none.
std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : std::string(absl::StripAsciiWhitespace(value));
}

}  // namespace

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
  AddSecurityFlags(command, flags);
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

absl::StatusOr<client::ClientOptions> ClientOptionsFor(const CommonFlags& flags) {
  client::ClientOptions options{.server = flags.server,
                                .timeout = absl::Seconds(flags.timeout_s),
                                .model_timeout = absl::Seconds(flags.timeout_s),
                                .user_agent = absl::StrCat("petit-cli/", PETIT_VERSION)};
  const client::TlsOptions& tls = flags.tls_options;
  if (flags.tls || !tls.ca_file.empty() || !tls.certificate_file.empty() || !tls.key_file.empty() ||
      !tls.server_name.empty()) {
    options.tls = tls;
  }
  if (flags.token_file.empty()) options.token = Environment("PETIT_TOKEN");
  const std::string token_file = flags.token_file.empty() ? Environment("PETIT_TOKEN_FILE") : flags.token_file;
  if (options.token.empty() && !token_file.empty()) {
    absl::StatusOr<std::string> token = ReadTokenFile(token_file);
    if (!token.ok()) return token.status();
    options.token = *std::move(token);
  }
  return options;
}

absl::StatusOr<client::Client> Connect(const CommonFlags& flags) {
  absl::StatusOr<client::ClientOptions> options = ClientOptionsFor(flags);
  if (!options.ok()) return options.status();
  return client::Client::Create(*std::move(options));
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
    const bool found_one =
        absl::StrContains(status.message(), "TLS") || absl::StrContains(status.message(), "certificate");
    *io.err << "petit: " << std::string(status.message())
            << (found_one ? "; `petit info --help` lists the security options\n"
                          : "; start one with ./dev serve, or name another with --server or PETIT_SERVER\n");
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
