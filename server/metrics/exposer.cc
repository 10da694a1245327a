#include "server/metrics/exposer.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <future>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace petit::serving {
namespace {

// A half-sent request holds one thread until the timeout: a scrape gets through while fewer than these are open, and
// with many more it waits for a turn or two, below Prometheus' own timeout of 10 s.
constexpr int kThreads = 64;
constexpr int kRequestTimeoutMs = 2000;

// How often a stopping server is woken.
constexpr std::chrono::milliseconds kNudgeInterval(5);

absl::Status NotAnAddress(const std::string& address, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("metrics cannot be served on '", address, "': ", why));
}

absl::StatusOr<sockaddr_in> Resolve(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  int port = -1;
  if (colon == std::string::npos || colon == 0 || !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 ||
      port > 65535) {
    return NotAnAddress(address, "it must be HOST:PORT, as 127.0.0.1:9464");
  }
  const std::string host = address.substr(0, colon);
  if (host.front() == '[') return NotAnAddress(address, "IPv6 is not supported; 127.0.0.1 and 0.0.0.0 always work");
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0) {
    return NotAnAddress(address, absl::StrCat(host, " is no host with an IPv4 address (", gai_strerror(error), ")"));
  }
  const absl::Cleanup free_found = [found] { freeaddrinfo(found); };
  sockaddr_in resolved{};
  std::memcpy(&resolved, found->ai_addr, sizeof(resolved));
  resolved.sin_port = htons(static_cast<std::uint16_t>(port));
  return resolved;
}

const sockaddr* Generic(const sockaddr_in& address) { return reinterpret_cast<const sockaddr*>(&address); }

// Why the address cannot be listened on. civetweb does not say, so this tries for itself.
absl::Status WhyNot(const sockaddr_in& resolved, const std::string& address, const char* what) {
  const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const absl::Cleanup close_probe = [probe] {
    if (probe >= 0) close(probe);
  };
  const int yes = 1;
  const std::string prefix = absl::StrCat("metrics cannot be served on '", address, "': ");
  if (probe < 0 || setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0) {
    return absl::ErrnoToStatus(errno, prefix);
  }
  if (bind(probe, Generic(resolved), sizeof(resolved)) == 0 && listen(probe, 1) == 0) {
    return absl::InternalError(absl::StrCat(prefix, what));
  }
  switch (errno) {
    case EADDRINUSE:
      return absl::UnavailableError(absl::StrCat(prefix, "the port is in use; stop who uses it, or choose another"));
    case EADDRNOTAVAIL:
      return absl::InvalidArgumentError(
          absl::StrCat(prefix, "this machine has no such address; 127.0.0.1 and 0.0.0.0 always work"));
    case EACCES:
      return absl::PermissionDeniedError(absl::StrCat(prefix, "ports below 1024 need privileges; choose a higher one"));
    default:
      return absl::ErrnoToStatus(errno, prefix);
  }
}

// Opens a connection and drops it.
void Nudge(const sockaddr_in& address) {
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (client < 0) return;
  static_cast<void>(connect(client, Generic(address), sizeof(address)));
  close(client);
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpExposer>> HttpExposer::Listen(const std::string& address) {
  absl::StatusOr<sockaddr_in> resolved = Resolve(address);
  if (!resolved.ok()) return resolved.status();
  std::array<char, INET_ADDRSTRLEN> numeric{};
  inet_ntop(AF_INET, &resolved->sin_addr, numeric.data(), numeric.size());
  const std::vector<std::string> options = {
      "listening_ports",    absl::StrCat(numeric.data(), ":", ntohs(resolved->sin_port)),
      "num_threads",        absl::StrCat(kThreads),
      "request_timeout_ms", absl::StrCat(kRequestTimeoutMs),
  };
  std::unique_ptr<prometheus::Exposer> exposer;
  try {
    exposer = std::make_unique<prometheus::Exposer>(options);
  } catch (const std::exception& error) {
    return WhyNot(*resolved, address, error.what());
  }
  const std::vector<int> ports = exposer->GetListeningPorts();
  if (ports.empty()) return absl::InternalError(absl::StrCat("metrics on ", address, ": no port was bound"));
  resolved->sin_port = htons(static_cast<std::uint16_t>(ports[0]));
  std::string bound = absl::StrCat(address.substr(0, address.rfind(':')), ":", ports[0]);
  return std::unique_ptr<HttpExposer>(new HttpExposer(std::move(exposer), std::move(bound), *resolved));
}

// civetweb looks for its stop flag when a connection comes, or every 2 s; a server that is told to end should not take
// these two.
HttpExposer::~HttpExposer() {
  std::future<void> stopped = std::async(std::launch::async, [this] { exposer_.reset(); });
  do {
    Nudge(bound_);
  } while (stopped.wait_for(kNudgeInterval) != std::future_status::ready);
}

}  // namespace petit::serving
