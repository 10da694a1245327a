// The blocks tls, auth and limits { client } of the configuration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/config/config.h"

namespace petit::serving {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kModel[] = "model { name: \"m\" checkpoint: \"" PETIT_SOURCE_DIR
                          "/tests/data/tiny/v1_1\" prompt { source: \"en\" target: \"fr\" prefix: \"p\" } }";
// SHA-256 of "petit_a" need not be right here: the configuration only reads it.
const std::string kDigest(64, 'a');       // NOLINT(cert-err58-cpp)
const std::string kOtherDigest(64, 'B');  // NOLINT(cert-err58-cpp)

class SecurityConfigTest : public testing::Test {
 protected:
  SecurityConfigTest()
      : directory_(std::filesystem::path(testing::TempDir()) / absl::StrCat("petit-security-", getpid())) {
    std::filesystem::create_directories(directory_);
    for (const char* name : {"cert.pem", "key.pem", "ca.pem"}) Write(name, "PEM");
  }
  ~SecurityConfigTest() override { std::filesystem::remove_all(directory_); }

  void Write(const std::string& name, const std::string& text) const { std::ofstream(directory_ / name) << text; }
  std::string Path(const std::string& name) const { return (directory_ / name).string(); }

  absl::StatusOr<ServerSettings> Parse(const std::string& text) const {
    return ParseConfig(absl::StrCat(text, "\n", kModel), "petit.textproto", directory_.string());
  }
  ServerSettings Good(const std::string& text) const {
    absl::StatusOr<ServerSettings> settings = Parse(text);
    EXPECT_TRUE(settings.ok()) << settings.status();
    return settings.ok() ? *settings : ServerSettings();
  }
  void ExpectBad(const std::string& text, const std::string& says) const {
    const absl::StatusOr<ServerSettings> settings = Parse(text);
    ASSERT_FALSE(settings.ok()) << text;
    EXPECT_THAT(std::string(settings.status().message()), HasSubstr(says)) << text;
  }
  static std::string Client(const std::string& name, const std::string& digest, const std::string& more = "") {
    return absl::StrCat("client { name: \"", name, "\" role: TRANSLATE token_sha256: \"", digest, "\" ", more, " }\n");
  }

  const std::filesystem::path directory_;
};

TEST_F(SecurityConfigTest, AbsentMeansPlainTextForEverybody) {
  const ServerSettings settings = Good("");
  EXPECT_FALSE(settings.tls);
  EXPECT_FALSE(settings.auth);
  EXPECT_FALSE(settings.limits.client.requests_per_second);
  EXPECT_FALSE(settings.limits.client.max_texts_in_flight);
}

TEST_F(SecurityConfigTest, TlsPathsAreRelativeToTheConfiguration) {
  const ServerSettings settings = Good(R"(tls { certificate: "cert.pem" key: "key.pem" reload_seconds: 0.5 })");
  ASSERT_TRUE(settings.tls);
  EXPECT_EQ(settings.tls->certificate, Path("cert.pem"));
  EXPECT_EQ(settings.tls->key, Path("key.pem"));
  EXPECT_EQ(settings.tls->client_ca, "");
  EXPECT_FALSE(settings.tls->require_client_certificate);
  EXPECT_EQ(settings.tls->reload, absl::Milliseconds(500));
}

TEST_F(SecurityConfigTest, AClientCaWantsCertificatesUnlessToldOtherwise) {
  const std::string tls = R"(tls { certificate: "cert.pem" key: "key.pem" client_ca: "ca.pem" )";
  EXPECT_TRUE(Good(tls + "}").tls->require_client_certificate);
  EXPECT_FALSE(Good(tls + "require_client_certificate: false }").tls->require_client_certificate);
  ExpectBad(R"(tls { certificate: "cert.pem" key: "key.pem" require_client_certificate: true })", "needs client_ca");
}

TEST_F(SecurityConfigTest, IncompleteTlsIsRefused) {
  ExpectBad("tls { }", "tls needs certificate: \"FILE\"");
  ExpectBad(R"(tls { certificate: "cert.pem" })", "tls needs key: \"FILE\"");
  ExpectBad(R"(tls { certificate: "none.pem" key: "key.pem" })", "none.pem: there is no such certificate");
  ExpectBad(R"(tls { certificate: "cert.pem" key: "key.pem" reload_seconds: -1 })",
            "reload_seconds is -1; it must be above 0 and at most 86400, or absent for 10");
}

TEST_F(SecurityConfigTest, ClientsAreRead) {
  const ServerSettings settings = Good(absl::StrCat(
      "auth { ", Client("app-1.eu_x", kDigest, absl::StrCat("role: OPERATE token_sha256: \"", kOtherDigest, "\"")),
      "anonymous_role: SCORE health_without_token: false reload_seconds: 2 }"));
  ASSERT_TRUE(settings.auth);
  ASSERT_EQ(settings.auth->clients.size(), 1);
  const KnownClient& client = settings.auth->clients[0];
  EXPECT_EQ(client.name, "app-1.eu_x");
  EXPECT_THAT(client.roles, ElementsAre(Role::kTranslate, Role::kOperate));
  EXPECT_THAT(client.token_sha256, ElementsAre(std::string(32, '\xaa'), std::string(32, '\xbb')));
  EXPECT_THAT(settings.auth->anonymous_roles, ElementsAre(Role::kScore));
  EXPECT_FALSE(settings.auth->health_without_token);
  EXPECT_EQ(settings.auth->reload, absl::Seconds(2));
}

TEST_F(SecurityConfigTest, BadClientsAreAllNamedAndNoTokenIsRepeated) {
  const absl::StatusOr<ServerSettings> settings =
      Parse(absl::StrCat("auth {\n", Client("1st", kDigest), Client("token", "petit_secret"), Client("twin", kDigest),
                         Client("token", kOtherDigest), "client { name: \"nobody\" }\n", "anonymous_role: 9 }"));
  ASSERT_FALSE(settings.ok());
  EXPECT_THAT(std::string(settings.status().message()),
              AllOf(HasSubstr("petit.textproto:2:10: client name \"1st\" must be a letter and then"),
                    HasSubstr("petit.textproto:3:40: token_sha256 must be the token's SHA-256"),
                    HasSubstr("petit.textproto:4:39: a token_sha256 of client twin is that of client 1st too"),
                    HasSubstr("petit.textproto:5:10: name token is that of client token too"),
                    HasSubstr("petit.textproto:6:1: client nobody cannot be known"),
                    HasSubstr("petit.textproto:7:1: role 9 is none"), Not(HasSubstr("petit_secret"))));
}

TEST_F(SecurityConfigTest, AuthMustLetSomebodyIn) {
  ExpectBad("auth { }", "auth lets nobody in");
  EXPECT_TRUE(Good("auth { anonymous_role: TRANSLATE }").auth);
}

TEST_F(SecurityConfigTest, CertificateClientsNeedAClientCa) {
  const std::string auth = R"(auth { client { name: "a" role: SCORE certificate_name: "a.example" } })";
  ExpectBad(auth, "asks for no certificates; add tls { client_ca");
  ExpectBad(R"(tls { certificate: "cert.pem" key: "key.pem" })" + auth, "asks for no certificates");
  const ServerSettings settings = Good(R"(tls { certificate: "cert.pem" key: "key.pem" client_ca: "ca.pem" })" + auth);
  EXPECT_THAT(settings.auth->clients[0].certificate_names, ElementsAre("a.example"));
}

TEST_F(SecurityConfigTest, TokensDoNotTravelInPlainText) {
  const std::string auth = absl::StrCat("auth { ", Client("a", kDigest), " }\n");
  for (const char* listen : {"0.0.0.0:1", "[::]:1", "192.0.2.1:1", "127.example.org:1", "localhost.example.org:1"}) {
    ExpectBad(absl::StrCat("listen: \"", listen, "\" ", auth), "tokens travel there in plain text; add tls {");
    Good(absl::StrCat("listen: \"", listen, R"(" tls { certificate: "cert.pem" key: "key.pem" } )", auth));
    Good(absl::StrCat("listen: \"", listen, "\" auth { anonymous_role: TRANSLATE }"));
  }
  for (const char* listen : {"127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "localhost:1"}) {
    ServerSettings settings = Good(absl::StrCat("listen: \"", listen, "\" ", auth));
    EXPECT_TRUE(CheckExposure(settings).ok());
    settings.listen = "0.0.0.0:1";
    EXPECT_TRUE(absl::IsInvalidArgument(CheckExposure(settings)));
  }
}

TEST_F(SecurityConfigTest, AFileOfClientsAddsToThem) {
  Write("clients.textproto", Client("more", kOtherDigest));
  const ServerSettings settings =
      Good(absl::StrCat("auth { clients_file: \"clients.textproto\" ", Client("own", kDigest), " }"));
  const absl::StatusOr<std::vector<KnownClient>> clients = LoadClients(*settings.auth);
  ASSERT_TRUE(clients.ok()) << clients.status();
  ASSERT_EQ(clients->size(), 2);
  EXPECT_EQ((*clients)[0].name, "own");
  EXPECT_EQ((*clients)[1].name, "more");
  Write("clients.textproto", Client("own", kOtherDigest));
  EXPECT_THAT(std::string(LoadClients(*settings.auth).status().message()),
              HasSubstr("clients.textproto: name own is that of client own too"));
  Write("clients.textproto", "");
  EXPECT_TRUE(LoadClients(*settings.auth).ok());
}

TEST_F(SecurityConfigTest, ABadFileOfClientsIsRefusedWithItsLines) {
  const std::string auth = R"(auth { clients_file: "clients.textproto" })";
  ExpectBad(auth, "clients_file: " + Path("clients.textproto") + ": there is no such file of clients");
  Write("clients.textproto", "client {\n  name: \"a\"\n  token: \"x\" }");
  ExpectBad(auth, Path("clients.textproto") + ":3:");
  Write("clients.textproto", "\n\nclient { name: \"a\" }");
  ExpectBad(auth, Path("clients.textproto") + ":3:1: client a cannot be known");
}

TEST_F(SecurityConfigTest, LimitsOfEachClient) {
  const ClientLimits limits =
      Good("limits { client { requests_per_second: 2.5 max_texts_in_flight: 64 } }").limits.client;
  EXPECT_EQ(limits.requests_per_second, 2.5);
  EXPECT_EQ(limits.burst, 3);
  EXPECT_EQ(limits.max_texts_in_flight, 64);
  EXPECT_EQ(Good("limits { client { requests_per_second: 0.1 } }").limits.client.burst, 1);
  EXPECT_EQ(Good("limits { client { requests_per_second: 2 burst: 10 } }").limits.client.burst, 10);
  ExpectBad("limits { client { requests_per_second: -1 } }", "requests_per_second is -1");
  ExpectBad("limits { client { requests_per_second: nan } }", "requests_per_second is nan");
  ExpectBad("limits { client { burst: 3 } }", "burst means nothing without requests_per_second");
  ExpectBad("limits { client { max_texts_in_flight: -2 } }", "max_texts_in_flight is -2");
}

TEST_F(SecurityConfigTest, LimitsOfConnections) {
  const RequestLimits limits = Good(
                                   "limits { max_metadata_bytes: 8192 max_connection_calls: 7 max_open_calls: 9 "
                                   "max_connection_idle_seconds: 1.5 "
                                   "max_connection_age_seconds: 60 connection_age_grace_seconds: 5 }")
                                   .limits;
  EXPECT_EQ(limits.max_metadata_bytes, 8192);
  EXPECT_EQ(limits.max_connection_calls, 7);
  EXPECT_EQ(limits.max_open_calls, 9);
  EXPECT_EQ(limits.max_connection_idle, absl::Milliseconds(1500));
  EXPECT_EQ(limits.max_connection_age, absl::Minutes(1));
  EXPECT_EQ(limits.connection_age_grace, absl::Seconds(5));
  ExpectBad("limits { max_connection_age_seconds: 1e9 }", "max_connection_age_seconds is 1e+09");
  ExpectBad("limits { max_open_calls: -1 }", "max_open_calls is -1");
  ExpectBad("limits { max_metadata_bytes: 10 }", "max_metadata_bytes is 10; it must be between 1024 and 1048576");
}

}  // namespace
}  // namespace petit::serving
