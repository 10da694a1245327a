#include "client/lib/credentials.h"

#include <arpa/inet.h>
#include <grpcpp/support/client_interceptor.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace petit::client {
namespace {

namespace experimental = grpc::experimental;

// Adds the token to whatever call is made: nobody can forget it.
class TokenInterceptor final : public experimental::Interceptor {
 public:
  explicit TokenInterceptor(const std::string& authorization) : authorization_(authorization) {}
  void Intercept(experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(experimental::InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->emplace("authorization", authorization_);
    }
    methods->Proceed();
  }

 private:
  const std::string& authorization_;  // the factory's, which the channel keeps
};

class TokenInterceptorFactory final : public experimental::ClientInterceptorFactoryInterface {
 public:
  explicit TokenInterceptorFactory(const std::string& token) : authorization_(absl::StrCat("Bearer ", token)) {}
  experimental::Interceptor* CreateClientInterceptor(experimental::ClientRpcInfo* /*info*/) override {
    return new TokenInterceptor(authorization_);
  }

 private:
  const std::string authorization_;
};

// Empty for no file.
absl::StatusOr<std::string> ReadPem(absl::string_view name, const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::string pem((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file && pem.empty()) return absl::InvalidArgumentError(absl::StrCat(name, " ", path, " cannot be read"));
  if (!absl::StrContains(pem, "-----BEGIN ")) {
    return absl::InvalidArgumentError(absl::StrCat(name, " ", path, " is no PEM, which begins with -----BEGIN ..."));
  }
  return pem;
}

absl::StatusOr<grpc::SslCredentialsOptions> ReadTls(const TlsOptions& tls) {
  grpc::SslCredentialsOptions options;
  for (const auto& [name, path, pem] : {std::tuple{"the file of authorities", &tls.ca_file, &options.pem_root_certs},
                                        std::tuple{"the certificate", &tls.certificate_file, &options.pem_cert_chain},
                                        std::tuple{"the certificate's key", &tls.key_file, &options.pem_private_key}}) {
    absl::StatusOr<std::string> read = ReadPem(name, *path);
    if (!read.ok()) return read.status();
    *pem = *std::move(read);
  }
  return options;
}

}  // namespace

bool IsLoopback(const std::string& server) {
  if (absl::StartsWith(server, "unix:") || absl::StartsWith(server, "unix-abstract:")) return true;
  if (absl::StartsWith(server, "localhost:") || absl::StartsWith(server, "[::1]:")) return true;
  in_addr v4 = {};
  return inet_pton(AF_INET, server.substr(0, server.rfind(':')).c_str(), &v4) == 1 && (ntohl(v4.s_addr) >> 24U) == 127;
}

absl::Status CheckCredentials(const ClientOptions& options) {
  if (options.tls) {
    if (options.tls->certificate_file.empty() != options.tls->key_file.empty()) {
      return absl::InvalidArgumentError("a certificate needs its key, and a key its certificate");
    }
    if (absl::Status status = ReadTls(*options.tls).status(); !status.ok()) return status;
  }
  const std::string& token = options.token;
  if (!std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; })) {
    return absl::InvalidArgumentError("the token has characters that no token has; is it the right file?");
  }
  if (!token.empty() && !options.tls && !IsLoopback(options.server)) {
    return absl::InvalidArgumentError(absl::StrCat("the token is not sent to ", options.server,
                                                   " in plain text, where others could read it; use TLS"));
  }
  return absl::OkStatus();
}

std::shared_ptr<grpc::Channel> MakeChannel(const ClientOptions& options, grpc::ChannelArguments arguments) {
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (options.tls) {
    // A file that went since it was checked leaves what the handshake then complains of.
    credentials = grpc::SslCredentials(ReadTls(*options.tls).value_or(grpc::SslCredentialsOptions()));
    if (!options.tls->server_name.empty()) arguments.SetSslTargetNameOverride(options.tls->server_name);
  }
  std::vector<std::unique_ptr<experimental::ClientInterceptorFactoryInterface>> interceptors;
  if (!options.token.empty()) interceptors.push_back(std::make_unique<TokenInterceptorFactory>(options.token));
  return experimental::CreateCustomChannelWithInterceptors(options.server, credentials, arguments,
                                                           std::move(interceptors));
}

}  // namespace petit::client
