// petit token new
#include <fcntl.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "client/cli/command.h"

namespace petit::cli {
namespace {

struct TokenFlags {
  std::string name;
  std::vector<std::string> roles;
  std::string out;
};

// 256 random bits. The prefix lets scanners of leaked secrets know what it is.
absl::StatusOr<std::string> MakeToken() {
  std::array<unsigned char, 32> bits;
  if (RAND_bytes(bits.data(), bits.size()) != 1) return absl::InternalError("the system gives no random numbers");
  return absl::StrCat(
      "petit_", absl::WebSafeBase64Escape(absl::string_view(reinterpret_cast<const char*>(bits.data()), bits.size())));
}

std::string Sha256Hex(const std::string& text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

// Into a new file that nobody else can read.
absl::Status WriteToken(const std::string& path, const std::string& token) {
  const std::string line = token + "\n";
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool good = file >= 0 && write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  const int error = errno;
  if (file >= 0) good = close(file) == 0 && good;
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the token cannot be written to ", path, ": ", std::strerror(error)));
}

int NewToken(const TokenFlags& flags, Io& io) {
  const absl::StatusOr<std::string> token = MakeToken();
  if (!token.ok()) return Fail(io, token.status());
  if (flags.out.empty()) {
    *io.err << "petit: the token, shown this once: " << *token << "\n";
  } else if (absl::Status status = WriteToken(flags.out, *token); !status.ok()) {
    return FailUsage(io, std::string(status.message()));
  }
  *io.out << "client { name: \"" << flags.name << "\"";
  for (const std::string& role : flags.roles) *io.out << " role: " << role;
  *io.out << " token_sha256: \"" << Sha256Hex(*token) << "\" }\n";
  return kExitOk;
}

bool IsName(const std::string& name) {
  return !name.empty() && name.size() <= 64 && absl::ascii_isalpha(name[0]) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.'; });
}

}  // namespace

void AddTokenCommand(CLI::App& app, Invocation& invocation) {
  CLI::App& token = *app.add_subcommand("token", "Makes tokens, by which a server knows its clients.");
  token.require_subcommand(1);
  const auto flags = std::make_shared<TokenFlags>();
  CLI::App& command = *token.add_subcommand(
      "new",
      "Makes a token, and what the server's configuration has to have of it.\n"
      "\n"
      "On standard output comes the client's entry for the server's file of clients (or its auth block), which has "
      "the\n"
      "token's SHA-256 alone; on standard error the token itself, or in a file that only you can read. No server is\n"
      "asked, and the token is nowhere else.");
  command.footer(
      "Examples:\n"
      "  petit token new --name batch --role TRANSLATE --out batch.token >> clients.textproto\n"
      "  petit translate --token-file batch.token \"Good morning.\"");
  command.add_option("--name", flags->name, "The client's name, in the server's log and limits")
      ->required()
      ->type_name("NAME")
      ->check([](const std::string& name) {
        return IsName(name) ? "" : "a name is a letter and then letters, digits, '-', '_' or '.', 64 at most";
      });
  command
      .add_option("--role", flags->roles,
                  "What it may do: TRANSLATE, SCORE, OPERATE (models), TRAIN (jobs); again for more")
      ->required()
      ->type_name("ROLE")
      ->allow_extra_args(false)
      ->transform(CLI::IsMember({"TRANSLATE", "SCORE", "OPERATE", "TRAIN"}, CLI::ignore_case));
  command.add_option("-o,--out", flags->out, "New file for the token; what is there is not overwritten")
      ->type_name("FILE");
  command.callback([&invocation, flags] { invocation.run = [flags](Io& io) { return NewToken(*flags, io); }; });
}

}  // namespace petit::cli
