// Who may call what, end to end over fake models: tokens on plain text, certificates and their reloading.
#include "server/security/security.h"

#include <gmock/gmock.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "grpcpp/generic/generic_stub.h"
#include "tests/unit/rpc/server_fixture.h"

namespace petit::serving {
namespace {

using ::testing::HasSubstr;

std::string Sha256(const std::string& text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return {digest.begin(), digest.end()};
}

KnownClient TokenClient(const std::string& name, std::set<Role> roles) {
  return {.name = name,
          .roles = std::move(roles),
          .token_sha256 = {Sha256("petit_" + name)},
          .certificate_names = {},
          .certificate_subjects = {}};
}

std::string Drain(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);  // NOLINT(google-runtime-int): OpenSSL's
  std::string text(data, size);
  BIO_free(bio);
  return text;
}

struct Identity {
  std::string certificate;
  std::string key;
};

// Signs itself, so that it is its own authority. Its one name is `name`.
Identity MakeIdentity(const std::string& name) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.data()), static_cast<int>(name.size()), -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  X509_EXTENSION* names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, ("DNS:" + name).c_str());
  X509_add_ext(certificate, names, -1);
  X509_EXTENSION_free(names);
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, EVP_sha256());
  Identity identity;
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  identity.certificate = Drain(bio);
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PKCS8PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  identity.key = Drain(bio);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return identity;
}

class SecurityTest : public ServerTest {
 protected:
  SecurityTest()
      : directory_(std::filesystem::path(testing::TempDir()) / absl::StrCat("petit-rpc-security-", getpid())) {
    std::filesystem::create_directories(directory_);
    AddModel(FakeSettings("m"));
  }
  ~SecurityTest() override {
    Stop();
    std::filesystem::remove_all(directory_);
  }

  void AuthWith(std::vector<KnownClient> clients) {
    settings_.auth.emplace();
    settings_.auth->clients = std::move(clients);
  }

  static void ShowToken(const std::string& token, grpc::ClientContext* context) {
    context->AddMetadata("authorization", "Bearer " + token);
  }
  grpc::Status ListModels(const std::string& token = "") {
    grpc::ClientContext context;
    if (!token.empty()) ShowToken(token, &context);
    v1::ListModelsResponse response;
    return models_->ListModels(&context, {}, &response);
  }
  grpc::Status TranslateAs(const std::string& token) {
    grpc::ClientContext context;
    ShowToken(token, &context);
    v1::TranslateResponse response;
    return translation_->Translate(&context, Request("m", {"a text"}), &response);
  }
  // A raw call of any method, with an empty message.
  grpc::StatusCode Call(const std::string& path, const std::string& token = "") {
    grpc::ClientContext context;
    if (!token.empty()) ShowToken(token, &context);
    grpc::GenericStub stub(channel_);
    grpc::CompletionQueue queue;
    grpc::ByteBuffer response;
    grpc::Status status;
    const auto call = stub.PrepareUnaryCall(&context, path, grpc::ByteBuffer(&kEmpty, 1), &queue);
    call->StartCall();
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return status.error_code();
  }

  std::string Write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = directory_ / name;
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }
  void TlsWith(const Identity& server, const std::string& client_ca = "") {
    settings_.tls.emplace();
    settings_.tls->certificate = Write("cert.pem", server.certificate);
    settings_.tls->key = Write("key.pem", server.key);
    if (client_ca.empty()) return;
    settings_.tls->client_ca = Write("ca.pem", client_ca);
    settings_.tls->require_client_certificate = true;
  }
  // Of a new connection that trusts this server's certificate and shows that one.
  grpc::Status ListModelsOver(const Identity& trusted, const std::string& name, const Identity& shown = {}) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetSslTargetNameOverride(name);
    const auto channel = grpc::CreateCustomChannel(
        server_->address(),
        grpc::SslCredentials(
            {.pem_root_certs = trusted.certificate, .pem_private_key = shown.key, .pem_cert_chain = shown.certificate}),
        arguments);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
    v1::ListModelsResponse response;
    return v1::ModelService::NewStub(channel)->ListModels(&context, {}, &response);
  }

  static inline const grpc::Slice kEmpty;
  const std::filesystem::path directory_;
};

TEST_F(SecurityTest, WithoutSettingsEverybodyIsServed) {
  Start();
  EXPECT_TRUE(ListModels().ok());
  EXPECT_TRUE(ListModels("whatever").ok());
  EXPECT_EQ(Call("/grpc.health.v1.Health/Check"), grpc::StatusCode::OK);
  EXPECT_EQ(Call("/no.such.Service/Method"), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(SecurityTest, TokensWorkOnPlainTextOfThisMachine) {
  AuthWith({TokenClient("app", {Role::kTranslate}), TokenClient("ops", {Role::kOperate})});
  Start();
  EXPECT_EQ(ListModels().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ListModels("wrong").error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(ListModels("petit_app").ok());
  EXPECT_TRUE(TranslateAs("petit_app").ok());
  const grpc::Status denied = TranslateAs("petit_ops");
  EXPECT_EQ(denied.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(denied.error_message(), HasSubstr("client ops lacks the role TRANSLATE"));
  EXPECT_THAT(metrics_->Text(), HasSubstr("petit_denied_total{reason=\"no_credentials\"} 1"));
  EXPECT_THAT(metrics_->Text(), HasSubstr("petit_denied_total{reason=\"bad_token\"} 1"));
  EXPECT_THAT(metrics_->Text(), HasSubstr("petit_denied_total{reason=\"no_role\"} 1"));
}

TEST_F(SecurityTest, EveryKindOfMethodIsGuarded) {
  AuthWith({TokenClient("nothing", {})});
  Start();
  for (const char* path : {"/petit.v1.TranslationService/StreamTranslate", "/petit.v1.JobService/WatchJob",
                           "/petit.v1.TranslationService/Translate"}) {
    EXPECT_EQ(Call(path), grpc::StatusCode::UNAUTHENTICATED) << path;
    EXPECT_EQ(Call(path, "petit_nothing"), grpc::StatusCode::PERMISSION_DENIED) << path;
  }
  const char* const reflection = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  EXPECT_EQ(Call(reflection), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Call("/no.such.Service/Method"), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Call("/no.such.Service/Method", "petit_nothing"), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(Call("/grpc.health.v1.Health/Check"), grpc::StatusCode::OK);
}

TEST_F(SecurityTest, AnonymousRolesAreServedOnEveryAddress) {
  settings_.auth.emplace();
  settings_.auth->anonymous_roles = {Role::kTranslate};
  Start();
  v1::TranslateResponse response;
  EXPECT_TRUE(Translate(Request("m", {"a text"}), &response).ok());
  EXPECT_EQ(Call("/petit.v1.ModelService/UnloadModel"), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(SecurityTest, TlsServesWhoTrustsTheCertificateAndOverItAlone) {
  const Identity server = MakeIdentity("petit.example");
  TlsWith(server);
  wait_for_connection_ = false;
  Start();
  EXPECT_TRUE(ListModelsOver(server, "petit.example").ok());
  EXPECT_EQ(ListModelsOver(server, "other.example").error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ListModelsOver(MakeIdentity("petit.example"), "petit.example").error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ListModels().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(SecurityTest, CertificatesOfClientsAreAskedForAndKnown) {
  const Identity server = MakeIdentity("petit.example");
  const Identity client = MakeIdentity("batch.example");
  TlsWith(server, client.certificate);
  AuthWith({KnownClient{.name = "batch",
                        .roles = {},
                        .token_sha256 = {},
                        .certificate_names = {"batch.example"},
                        .certificate_subjects = {}}});
  settings_.auth->with_certificates = true;
  wait_for_connection_ = false;
  Start();
  EXPECT_TRUE(ListModelsOver(server, "petit.example", client).ok());
  EXPECT_EQ(ListModelsOver(server, "petit.example").error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ListModelsOver(server, "petit.example", MakeIdentity("batch.example")).error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(SecurityTest, BadFilesAndExposedTokensDoNotStart) {
  settings_.listen = "127.0.0.1:0";
  Metrics metrics({"m"});
  const Identity one = MakeIdentity("petit.example");
  TlsWith({.certificate = one.certificate, .key = MakeIdentity("petit.example").key});
  EXPECT_THAT(std::string(Security::Create(settings_, &metrics).status().message()), HasSubstr("is not the key of"));
  settings_.tls.reset();
  AuthWith({TokenClient("app", {})});
  EXPECT_TRUE(Security::Create(settings_, &metrics).ok());
  settings_.listen = "0.0.0.0:0";
  EXPECT_THAT(std::string(Security::Create(settings_, &metrics).status().message()), HasSubstr("plain text"));
}

TEST(AddressOfTest, LeavesThePortOut) {
  EXPECT_EQ(AddressOf("ipv4:192.0.2.7:40012"), "192.0.2.7");
  EXPECT_EQ(AddressOf("ipv6:[::1]:40012"), "::1");
  EXPECT_EQ(AddressOf("ipv6:%5B2001:db8::7%5D:40012"), "2001:db8::7");
  EXPECT_EQ(AddressOf("unix:/run/petit.sock"), "unix:/run/petit.sock");
  EXPECT_EQ(AddressOf(""), "");
}

}  // namespace
}  // namespace petit::serving
