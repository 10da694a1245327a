// petit token new, and the flags by which commands get tokens and TLS.
#include <gmock/gmock.h>
#include <openssl/sha.h>

#include <array>
#include <regex>

#include "absl/strings/escaping.h"
#include "tests/unit/client/cli/run_cli.h"

namespace petit::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Sha256Hex(const std::string& text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return absl::BytesToHexString(std::string(digest.begin(), digest.end()));
}

TEST(TokenTest, TheEntryHasTheDigestAndTheTokenIsElsewhere) {
  const CliResult made = RunCli({"token", "new", "--name", "app", "--role", "translate", "--role", "SCORE"});
  ASSERT_EQ(made.code, kExitOk) << made.err;
  std::smatch token;
  ASSERT_TRUE(std::regex_search(made.err, token, std::regex("petit_[A-Za-z0-9_-]{43}\n"))) << made.err;
  const std::string text = token.str().substr(0, token.str().size() - 1);
  EXPECT_EQ(made.out,
            "client { name: \"app\" role: TRANSLATE role: SCORE token_sha256: \"" + Sha256Hex(text) + "\" }\n");
  const CliResult other = RunCli({"token", "new", "--name", "app", "--role", "SCORE"});
  EXPECT_THAT(other.err, Not(HasSubstr(text)));
}

TEST(TokenTest, BadNamesAndRolesAreRefused) {
  for (const char* name : {"", "1st", "two words", "a:b"}) {
    const CliResult refused = RunCli({"token", "new", "--name", name, "--role", "SCORE"});
    EXPECT_EQ(refused.code, kExitUsage) << name;
    EXPECT_EQ(refused.out, "");
  }
  EXPECT_EQ(RunCli({"token", "new", "--name", "a", "--role", "ROOT"}).code, kExitUsage);
  EXPECT_EQ(RunCli({"token", "new", "--name", "a"}).code, kExitUsage);
  EXPECT_EQ(RunCli({"token"}).code, kExitUsage);
}

TEST(TokenTest, AFileIsNotOverwritten) {
  const TempFile file("mine");
  const CliResult refused = RunCli({"token", "new", "--name", "a", "--role", "SCORE", "--out", file.path()});
  EXPECT_EQ(refused.code, kExitUsage);
  EXPECT_THAT(refused.err, HasSubstr("File exists"));
  EXPECT_EQ(ReadFile(file.path()), "mine");
}

TEST(TokenTest, TokenFilesThatCannotBeUsedAreNamed) {
  const TempFile empty(" \n");
  EXPECT_THAT(RunCli({"info", "--token-file", empty.path()}).err, HasSubstr(empty.path() + " is empty"));
  const CliResult missing = RunCli({"jobs", "list", "--token-file", "/nowhere/token"});
  EXPECT_EQ(missing.code, kExitUsage);
  EXPECT_THAT(missing.err, HasSubstr("/nowhere/token cannot be read"));
}

TEST(TokenTest, ATokenIsNotSentInPlainTextAndNotShown) {
  const TempFile token("petit_secret\n");
  const CliResult refused = RunCli({"info", "--server", "petit.example:1", "--token-file", token.path()});
  EXPECT_EQ(refused.code, kExitUsage);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("use TLS"), Not(HasSubstr("petit_secret"))));
}

TEST(TokenTest, TlsFilesImplyTls) {
  EXPECT_THAT(RunCli({"info", "--ca", "/nowhere/ca.pem"}).err, HasSubstr("/nowhere/ca.pem cannot be read"));
  const TempFile pem("-----BEGIN CERTIFICATE-----");
  EXPECT_THAT(RunCli({"info", "--cert", pem.path()}).err, HasSubstr("a certificate needs its key"));
}

}  // namespace
}  // namespace petit::cli
