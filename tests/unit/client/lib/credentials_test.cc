#include "client/lib/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/lib/jobs.h"
#include "petit/v1/job.grpc.pb.h"
#include "petit/v1/model.grpc.pb.h"
#include "petit/v1/translation.grpc.pb.h"

namespace petit::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Notes the header `authorization` of every call.
class ListeningServer final : public petit::v1::ModelService::Service, public petit::v1::TranslationService::Service {
 public:
  ListeningServer() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(static_cast<petit::v1::ModelService::Service*>(this));
    builder.RegisterService(static_cast<petit::v1::TranslationService::Service*>(this));
    server_ = builder.BuildAndStart();
  }
  ~ListeningServer() override { server_->Shutdown(); }

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  std::vector<std::string> heard() {
    const std::lock_guard lock(mutex_);
    return heard_;
  }

  grpc::Status ListModels(grpc::ServerContext* context, const petit::v1::ListModelsRequest* /*request*/,
                          petit::v1::ListModelsResponse* /*response*/) override {
    Hear(*context);
    return grpc::Status::OK;
  }
  grpc::Status StreamTranslate(grpc::ServerContext* context,
                               grpc::ServerReaderWriter<petit::v1::StreamTranslateResponse,
                                                        petit::v1::StreamTranslateRequest>* stream) override {
    Hear(*context);
    petit::v1::StreamTranslateRequest request;
    while (stream->Read(&request)) {
      petit::v1::StreamTranslateResponse response;
      response.set_id(request.id());
      response.mutable_result()->mutable_translation()->set_text(request.text());
      stream->Write(response);
    }
    return grpc::Status::OK;
  }

 private:
  void Hear(const grpc::ServerContext& context) {
    const std::lock_guard lock(mutex_);
    const auto found = context.client_metadata().find("authorization");
    heard_.push_back(
        found == context.client_metadata().end() ? "nothing" : std::string(found->second.data(), found->second.size()));
  }

  std::mutex mutex_;
  std::vector<std::string> heard_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

std::string WhyNot(const ClientOptions& options) {
  const absl::Status status = Client::Create(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(JobClient::Create(options).status(), status);
  return std::string(status.message());
}

class TempFile {
 public:
  explicit TempFile(const std::string& text)
      : path_(absl::StrCat(testing::TempDir(), "petit-credentials-", getpid(), "-", text.size())) {
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~TempFile() { std::remove(path_.c_str()); }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

TEST(CredentialsTest, EveryCallCarriesTheToken) {
  ListeningServer server;
  const absl::StatusOr<Client> client = Client::Create({.server = server.address(), .token = "petit_secret"});
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_TRUE(client->ListModels().ok());
  int texts = 1;
  EXPECT_TRUE(client
                  ->TranslateStream(
                      {}, {},
                      [&]() -> std::optional<absl::StatusOr<std::string>> {
                        if (texts-- > 0) return "text";
                        return std::nullopt;
                      },
                      [](std::int64_t, const TextResult& result) { return result.status(); })
                  .ok());
  EXPECT_THAT(server.heard(), ElementsAre("Bearer petit_secret", "Bearer petit_secret"));
}

TEST(CredentialsTest, NoTokenIsNoHeader) {
  ListeningServer server;
  const absl::StatusOr<Client> client = Client::Create({.server = server.address()});
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_TRUE(client->ListModels().ok());
  EXPECT_THAT(server.heard(), ElementsAre("nothing"));
}

TEST(CredentialsTest, ATokenDoesNotLeaveThisMachineInPlainText) {
  for (const char* server : {"petit.example:443", "dns:///petit.example:443", "192.0.2.1:50051", "127.example.org:1",
                             "localhost.example.org:1", "[2001:db8::1]:50051", "0.0.0.0:1"}) {
    EXPECT_THAT(WhyNot({.server = server, .token = "petit_secret"}),
                HasSubstr(absl::StrCat("not sent to ", server, " in plain text")))
        << server;
    EXPECT_TRUE(Client::Create({.server = server, .tls = TlsOptions(), .token = "petit_secret"}).ok());
    EXPECT_TRUE(Client::Create({.server = server}).ok());
  }
  for (const char* server : {"127.0.0.1:50051", "127.1.2.3:1", "localhost:50051", "[::1]:50051", "unix:/run/petit"}) {
    EXPECT_TRUE(Client::Create({.server = server, .token = "petit_secret"}).ok()) << server;
  }
}

TEST(CredentialsTest, WhatNoHeaderCanHoldIsNoToken) {
  for (const char* token : {"two words", "line\n", "\xc3\xa9"}) {
    EXPECT_THAT(WhyNot({.token = token}), HasSubstr("is it the right file?"));
  }
}

TEST(CredentialsTest, BadFilesAreNamed) {
  const TempFile pem("-----BEGIN CERTIFICATE-----");
  const TempFile text("text");
  EXPECT_THAT(WhyNot({.tls = TlsOptions{.ca_file = "/nowhere/ca.pem"}}),
              HasSubstr("the file of authorities /nowhere/ca.pem cannot be read"));
  EXPECT_THAT(WhyNot({.tls = TlsOptions{.ca_file = text.path()}}), HasSubstr(text.path() + " is no PEM"));
  EXPECT_THAT(WhyNot({.tls = TlsOptions{.certificate_file = pem.path()}}), HasSubstr("a certificate needs its key"));
  EXPECT_THAT(WhyNot({.tls = TlsOptions{.certificate_file = pem.path(), .key_file = text.path()}}),
              HasSubstr("the certificate's key"));
}

}  // namespace
}  // namespace petit::client
