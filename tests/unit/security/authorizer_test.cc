#include "server/security/authorizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <array>
#include <string>

#include "server/security/method_access.h"

namespace petit::serving {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kTranslate[] = "/petit.v1.TranslationService/Translate";
constexpr char kListModels[] = "/petit.v1.ModelService/ListModels";
constexpr char kUnload[] = "/petit.v1.ModelService/UnloadModel";
constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";

std::string Sha256(const std::string& text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return {digest.begin(), digest.end()};
}

KnownClient TokenClient(const std::string& name, const std::string& token, std::set<Role> roles) {
  return {.name = name,
          .roles = std::move(roles),
          .token_sha256 = {Sha256(token)},
          .certificate_names = {},
          .certificate_subjects = {}};
}

ShownCredentials Header(std::string_view authorization) {
  return {.authorization = authorization, .certificate_names = {}, .certificate_subject = {}};
}

class AuthorizerTest : public testing::Test {
 protected:
  AuthorizerTest() {
    settings_.clients = {TokenClient("app", "petit_app", {Role::kTranslate}),
                         TokenClient("ops", "petit_ops", {Role::kTranslate, Role::kOperate}),
                         TokenClient("watcher", "petit_watcher", {})};
  }

  void ExpectDenied(const std::string& path, const ShownCredentials& shown, absl::StatusCode code,
                    const std::string& reason, const std::string& says) const {
    const Decision decision = Authorizer(settings_).Decide(path, shown);
    EXPECT_EQ(decision.status.code(), code) << path;
    EXPECT_EQ(decision.reason, reason) << path;
    EXPECT_THAT(std::string(decision.status.message()), HasSubstr(says));
  }
  bool Allowed(const std::string& path, const ShownCredentials& shown) const {
    const Decision decision = Authorizer(settings_).Decide(path, shown);
    return decision.status.ok() && decision.reason.empty();
  }

  AuthSettings settings_;
};

TEST_F(AuthorizerTest, ATokenLetsItsClientDoWhatItsRolesSay) {
  EXPECT_TRUE(Allowed(kTranslate, Header("Bearer petit_app")));
  EXPECT_TRUE(Allowed(kTranslate, Header("bearer petit_ops")));
  EXPECT_TRUE(Allowed(kUnload, Header("Bearer petit_ops")));
  ExpectDenied(kUnload, Header("Bearer petit_app"), absl::StatusCode::kPermissionDenied, "no_role",
               "client app lacks the role OPERATE that this method needs; its roles: TRANSLATE");
  ExpectDenied(kTranslate, Header("Bearer petit_watcher"), absl::StatusCode::kPermissionDenied, "no_role",
               "its roles: none");
}

TEST_F(AuthorizerTest, EveryKnownClientMayListAndReflect) {
  EXPECT_TRUE(Allowed(kListModels, Header("Bearer petit_watcher")));
  EXPECT_TRUE(
      Allowed("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Header("Bearer petit_watcher")));
}

TEST_F(AuthorizerTest, WithoutCredentialsNothingButHealthIsServed) {
  ExpectDenied(kTranslate, {}, absl::StatusCode::kUnauthenticated, "no_credentials", "authorization: Bearer TOKEN");
  ExpectDenied(kListModels, {}, absl::StatusCode::kUnauthenticated, "no_credentials", "--token-file");
  ExpectDenied("/no.such/Method", {}, absl::StatusCode::kUnauthenticated, "no_credentials", "wants a token");
  EXPECT_TRUE(Allowed(kHealthCheck, {}));
  EXPECT_TRUE(Allowed(kHealthCheck, Header("Bearer wrong")));
  settings_.health_without_token = false;
  ExpectDenied(kHealthCheck, {}, absl::StatusCode::kUnauthenticated, "no_credentials", "wants a token");
  EXPECT_TRUE(Allowed(kHealthCheck, Header("Bearer petit_watcher")));
}

TEST_F(AuthorizerTest, WhatIsNoKnownTokenIsUnauthenticatedAndNotRepeated) {
  for (const char* header : {"Bearer petit_app2", "Bearer petit_ap", "Bearer ", "Bearer", "", "petit_app",
                             "Basic petit_app", "Bearer  petit_app", "Bearer petit_app "}) {
    const Decision decision = Authorizer(settings_).Decide(kTranslate, Header(header));
    EXPECT_EQ(decision.status.code(), absl::StatusCode::kUnauthenticated) << header;
    EXPECT_EQ(decision.reason, "bad_token") << header;
    EXPECT_THAT(std::string(decision.status.message()), Not(HasSubstr("petit_ap"))) << header;
  }
}

TEST_F(AuthorizerTest, AMethodWithoutARowIsForNobody) {
  for (const char* path : {"", "/", "/petit.v1.TranslationService/Translate2", "petit.v1.TranslationService/Translate",
                           "/petit.v1.TranslationService/translate", "/petit.v1.TranslationService/Translate/"}) {
    ExpectDenied(path, Header("Bearer petit_ops"), absl::StatusCode::kUnimplemented, "no_method", "no such method");
    EXPECT_EQ(DecideForAnybody(path).status.code(), absl::StatusCode::kUnimplemented) << path;
  }
  EXPECT_TRUE(DecideForAnybody(kTranslate).status.ok());
}

TEST_F(AuthorizerTest, AnyOfAClientsTokensWillDo) {
  settings_.clients[0].token_sha256.push_back(Sha256("petit_next"));
  EXPECT_TRUE(Allowed(kTranslate, Header("Bearer petit_app")));
  EXPECT_TRUE(Allowed(kTranslate, Header("Bearer petit_next")));
}

TEST_F(AuthorizerTest, ACertificateLetsItsClientIn) {
  settings_.clients[0].certificate_names = {"app.example", "spiffe://example/app"};
  settings_.clients[1].certificate_subjects = {"CN=ops,O=Example"};
  const ShownCredentials app = {
      .authorization = {}, .certificate_names = {"x", "spiffe://example/app"}, .certificate_subject = "CN=app"};
  const ShownCredentials ops = {
      .authorization = {}, .certificate_names = {"ops"}, .certificate_subject = "CN=ops,O=Example"};
  const ShownCredentials other = {
      .authorization = {}, .certificate_names = {"app.example.org"}, .certificate_subject = "CN=ops"};
  EXPECT_TRUE(Allowed(kTranslate, app));
  EXPECT_TRUE(Allowed(kUnload, ops));
  ExpectDenied(kUnload, app, absl::StatusCode::kPermissionDenied, "no_role", "client app");
  ExpectDenied(kTranslate, other, absl::StatusCode::kUnauthenticated, "no_credentials",
               "certificate of a known client");
  // A token decides alone.
  ShownCredentials both = ops;
  both.authorization = "Bearer petit_app";
  ExpectDenied(kUnload, both, absl::StatusCode::kPermissionDenied, "no_role", "client app");
  both.authorization = "Bearer wrong";
  ExpectDenied(kUnload, both, absl::StatusCode::kUnauthenticated, "bad_token", "not known");
  EXPECT_EQ(Authorizer(settings_).NameOf(app), "app");
  EXPECT_EQ(Authorizer(settings_).NameOf(other), "");
}

TEST_F(AuthorizerTest, AnEmptySubjectIsNobodys) {
  settings_.clients[0].certificate_subjects = {""};
  EXPECT_FALSE(Allowed(kTranslate, {}));
}

TEST_F(AuthorizerTest, AnonymousRolesAreForThoseWhoShowNothing) {
  settings_.anonymous_roles = {Role::kTranslate};
  EXPECT_TRUE(Allowed(kTranslate, {}));
  EXPECT_TRUE(Allowed(kListModels, {}));
  ExpectDenied(kUnload, {}, absl::StatusCode::kUnauthenticated, "no_credentials", "wants a token");
  ExpectDenied(kTranslate, Header("Bearer wrong"), absl::StatusCode::kUnauthenticated, "bad_token", "not known");
}

TEST_F(AuthorizerTest, NewClientsReplaceTheOldOnesAtOnce) {
  Authorizer authorizer(settings_);
  EXPECT_FALSE(authorizer.SetClients(settings_.clients));
  EXPECT_TRUE(authorizer.SetClients({TokenClient("next", "petit_next", {Role::kTranslate})}));
  EXPECT_TRUE(authorizer.Decide(kTranslate, Header("Bearer petit_next")).status.ok());
  EXPECT_EQ(authorizer.Decide(kTranslate, Header("Bearer petit_app")).reason, "bad_token");
  EXPECT_EQ(authorizer.NameOf(Header("Bearer petit_next")), "next");
}

}  // namespace
}  // namespace petit::serving
