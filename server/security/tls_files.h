// The server's certificate, key and client authorities as files have them. Knows no gRPC.
#ifndef PETIT_SERVER_SECURITY_TLS_FILES_H_
#define PETIT_SERVER_SECURITY_TLS_FILES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/config/settings.h"

namespace petit::serving {

struct TlsFiles {
  std::string certificate_chain;  // PEM
  std::string key;                // PEM
  std::string client_ca;          // PEM, or empty
  // Of the server's own certificate, for the log.
  std::string serial;  // hexadecimal
  absl::Time not_after;
};

// Reads and checks them. INVALID_ARGUMENT, the file's name first: it is missing, is no PEM of its kind, has a
// passphrase, or the key is not that of the certificate.
absl::StatusOr<TlsFiles> LoadTlsFiles(const TlsSettings& settings);

}  // namespace petit::serving

#endif  // PETIT_SERVER_SECURITY_TLS_FILES_H_
