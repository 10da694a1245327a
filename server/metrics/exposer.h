// Serves collectables over HTTP; internal to the folder.
#ifndef PETIT_SERVER_METRICS_EXPOSER_H_
#define PETIT_SERVER_METRICS_EXPOSER_H_

#include <netinet/in.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "prometheus/collectable.h"
#include "prometheus/exposer.h"

namespace petit::serving {

// prometheus-cpp's exposer, with errors in place of exceptions, and quick to stop.
class HttpExposer {
 public:
  // Listens on HOST:PORT, IPv4 (Debian's civetweb has nothing else). INVALID_ARGUMENT: not an address of this machine.
  // UNAVAILABLE: the port is in use. PERMISSION_DENIED: the port is privileged.
  static absl::StatusOr<std::unique_ptr<HttpExposer>> Listen(const std::string& address);
  HttpExposer(const HttpExposer&) = delete;
  HttpExposer& operator=(const HttpExposer&) = delete;
  ~HttpExposer();

  // As asked for, with the port that was bound.
  const std::string& address() const { return address_; }
  void Register(const std::weak_ptr<prometheus::Collectable>& collectable) {
    exposer_->RegisterCollectable(collectable);
  }

 private:
  HttpExposer(std::unique_ptr<prometheus::Exposer> exposer, std::string address, sockaddr_in bound)
      : exposer_(std::move(exposer)), address_(std::move(address)), bound_(bound) {}

  std::unique_ptr<prometheus::Exposer> exposer_;
  std::string address_;
  sockaddr_in bound_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_METRICS_EXPOSER_H_
