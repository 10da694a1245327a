#include "server/rpc/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "spdlog/spdlog.h"

namespace petit::serving {
namespace {

constexpr int kBacklog = 1024;
constexpr int kReservedDescriptors = 64;
constexpr int kAcceptRetryMs = 100;
constexpr int kPortAttempts = 16;

struct Target {
  std::string host;  // without brackets
  std::string shown;
  int port = 0;
};

absl::StatusOr<Target> Parse(const std::string& address) {
  const absl::Status malformed =
      absl::InvalidArgumentError(absl::StrCat("cannot listen on \"", address, "\"; want HOST:PORT"));
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return malformed;
  Target target{.host = address.substr(0, colon), .shown = address.substr(0, colon), .port = 0};
  if (!absl::SimpleAtoi(address.substr(colon + 1), &target.port) || target.port < 0 || target.port > 65535) {
    return malformed;
  }
  if (target.host.front() == '[' && target.host.back() == ']')
    target.host = target.host.substr(1, target.host.size() - 2);
  return target;
}

void SetPort(sockaddr_storage& address, int port) {
  const auto network = htons(static_cast<std::uint16_t>(port));
  if (address.ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6&>(address).sin6_port = network;
  } else {
    reinterpret_cast<sockaddr_in&>(address).sin_port = network;
  }
}

int PortOf(const sockaddr_storage& address) {
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

struct Place {
  sockaddr_storage address;
  socklen_t length;
};

absl::StatusOr<std::vector<Place>> Resolve(const Target& target) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(target.host.c_str(), nullptr, &hints, &found); error != 0) {
    return absl::InvalidArgumentError(absl::StrCat("cannot listen on ", target.shown, ": ", gai_strerror(error)));
  }
  std::vector<Place> places;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    if (each->ai_family != AF_INET && each->ai_family != AF_INET6) continue;
    Place place{.address = {}, .length = each->ai_addrlen};
    std::memcpy(&place.address, each->ai_addr, each->ai_addrlen);
    const bool known = std::any_of(places.begin(), places.end(), [&](const Place& other) {
      return other.length == place.length && std::memcmp(&other.address, &place.address, place.length) == 0;
    });
    if (!known) places.push_back(place);
  }
  freeaddrinfo(found);
  return places;
}

// The bound socket, or the negative errno.
int Bind(const Place& place) {
  const int fd = socket(place.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  // "::" and "0.0.0.0" are then two sockets, whatever the machine's default.
  if (place.address.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  if (bind(fd, reinterpret_cast<const sockaddr*>(&place.address), place.length) == 0 && listen(fd, kBacklog) == 0) {
    return fd;
  }
  const int error = errno;
  close(fd);
  return -error;
}

int BoundPort(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  return PortOf(address);
}

// An address family or an address that the machine has not is left out, where another one of the host is there.
bool IsAbsence(int error) { return error == EADDRNOTAVAIL || error == EAFNOSUPPORT; }

struct Bound {
  std::vector<int> sockets;
  int port = 0;
  int error = 0;
};

Bound BindAll(std::vector<Place> places, int port) {
  Bound bound{.sockets = {}, .port = port, .error = 0};
  for (Place& place : places) {
    SetPort(place.address, bound.port);
    const int fd = Bind(place);
    if (fd >= 0) {
      bound.port = BoundPort(fd);
      bound.sockets.push_back(fd);
    } else if (bound.error == 0 || !IsAbsence(-fd)) {
      bound.error = -fd;
    }
  }
  if (!bound.sockets.empty() && IsAbsence(bound.error)) bound.error = 0;
  if (bound.error != 0) {
    for (const int fd : bound.sockets) close(fd);
    bound.sockets.clear();
  }
  return bound;
}

int OpenSpare() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

int HighestDescriptor() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return INT_MAX;
  const auto most = static_cast<std::int64_t>(std::min<rlim_t>(limit.rlim_cur, INT_MAX));
  return static_cast<int>(most - std::min<std::int64_t>(kReservedDescriptors, most / 2));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Open(const std::string& address) {
  const absl::StatusOr<Target> target = Parse(address);
  if (!target.ok()) return target.status();
  const absl::StatusOr<std::vector<Place>> places = Resolve(*target);
  if (!places.ok()) return places.status();
  Bound bound;
  // A port that the kernel chose for one address may be taken on the next.
  for (int attempt = 0; attempt < (target->port == 0 ? kPortAttempts : 1); ++attempt) {
    bound = BindAll(*places, target->port);
    if (bound.error != EADDRINUSE) break;
  }
  if (bound.error != 0 || bound.sockets.empty()) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", address, ": ",
                                               bound.error == 0 ? "no address" : std::strerror(bound.error),
                                               "; choose another one (listen), or port 0 for a free one"));
  }
  std::unique_ptr<Listener> listener(new Listener);
  listener->address_ = absl::StrCat(target->shown, ":", bound.port);
  listener->sockets_ = std::move(bound.sockets);
  listener->stop_ = eventfd(0, EFD_CLOEXEC);
  listener->spare_ = OpenSpare();
  listener->highest_ = HighestDescriptor();
  return listener;
}

Listener::~Listener() {
  Stop();
  if (stop_ >= 0) close(stop_);
  if (spare_ >= 0) close(spare_);
}

void Listener::Start(Take take) {
  take_ = std::move(take);
  thread_ = std::thread([this] { Run(); });
}

void Listener::Stop() {
  if (thread_.joinable()) {
    const std::uint64_t one = 1;
    while (write(stop_, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
    thread_.join();
  }
  for (const int fd : sockets_) close(fd);
  sockets_.clear();
}

void Listener::Run() {
  std::vector<pollfd> polled;
  for (const int fd : sockets_) polled.push_back({.fd = fd, .events = POLLIN, .revents = 0});
  polled.push_back({.fd = stop_, .events = POLLIN, .revents = 0});
  while (true) {
    if (poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) {
      spdlog::error("the listener ends: {}", std::strerror(errno));
      return;
    }
    if (polled.back().revents != 0) return;
    for (std::size_t i = 0; i + 1 < polled.size(); ++i) {
      if (polled[i].revents != 0) AcceptAll(polled[i].fd);
    }
  }
}

void Listener::AcceptAll(int listener) {
  while (true) {
    const int connection = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) TurnAway(listener);
      return;  // EAGAIN: all are accepted; any other: the next poll tells
    }
    // The kernel gives the lowest free number, so this one says how many are in use.
    if (connection >= highest_) {
      turned_away_.fetch_add(1);
      close(connection);
      continue;
    }
    const int on = 1;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    take_(listener, connection);
  }
}

// Gives the caller an end instead of silence.
void Listener::TurnAway(int listener) {
  if (spare_ >= 0) close(std::exchange(spare_, -1));
  const int connection = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (connection >= 0) {
    turned_away_.fetch_add(1);
    close(connection);
  } else {
    // Somebody else was quicker: not to spin until there are descriptors again.
    pollfd stop{.fd = stop_, .events = POLLIN, .revents = 0};
    poll(&stop, 1, kAcceptRetryMs);
  }
  spare_ = OpenSpare();
}

}  // namespace petit::serving
