// TLS and authorisation of the gRPC port, as the configuration's `tls` and `auth` want them.
//
// Every call passes the Authorizer before anything else sees it, health and reflection included: gRPC asks it as the
// credentials' metadata processor. gRPC's C++ wrappers have neither a port in plain text with a processor nor
// certificates that are checked before they replace others; the C interface below them has both.
#ifndef PETIT_SERVER_SECURITY_SECURITY_H_
#define PETIT_SERVER_SECURITY_SECURITY_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_interceptor.h"
#include "server/config/settings.h"
#include "server/metrics/metrics.h"
#include "server/security/call_gate.h"

namespace petit::serving {

// Outlives the server that has its credentials. Thread-safe.
class Security {
 public:
  // INVALID_ARGUMENT: files that cannot be used, or tokens that would travel in plain text. `metrics` outlives it and
  // counts the refused.
  static absl::StatusOr<std::unique_ptr<Security>> Create(const ServerSettings& settings, Metrics* metrics);
  ~Security();

  std::shared_ptr<grpc::ServerCredentials> MakeCredentials();

  // Who makes this call, for the log and for limits: the known client's name, else a name of its certificate, else its
  // address without the port.
  std::string ClientOf(const grpc::ServerContextBase& context) const;

  // For each call of our services to hold until its end.
  CallGate::Passed Pass(grpc::ServerContextBase* context);

  // Hold the same for the calls of gRPC's own services.
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> MakeInterceptors();

  // Calls that have begun and not ended, of all services.
  int open_calls() const;

  // Read the files again, and log what changed or is wrong. Without `tls`, without a clients_file: nothing.
  void ReloadCertificates();
  void ReloadClients();

 private:
  struct Impl;
  explicit Security(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// "ipv4:192.0.2.7:40012" -> "192.0.2.7", "ipv6:%5B::1%5D:40012" -> "::1"; other transports' names as they are.
std::string AddressOf(const std::string& peer);

}  // namespace petit::serving

#endif  // PETIT_SERVER_SECURITY_SECURITY_H_
