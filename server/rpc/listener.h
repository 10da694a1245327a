// Accepts connections for gRPC. gRPC's own listener (1.51) gives up for good when a process runs out of descriptors;
// this one turns callers away until there are some again.
#ifndef PETIT_SERVER_RPC_LISTENER_H_
#define PETIT_SERVER_RPC_LISTENER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"

namespace petit::serving {

class Listener {
 public:
  // Owns `connection` from then on: connected, non-blocking, without Nagle's delay. `listener` is where it came in.
  using Take = std::function<void(int listener, int connection)>;

  // Binds HOST:PORT, on all addresses of the host ("localhost": IPv4 and IPv6) under one port; port 0: the kernel's
  // choice. Connections wait until Start. UNAVAILABLE: the port is in use or privileged. INVALID_ARGUMENT: not
  // HOST:PORT, or no address of this machine.
  static absl::StatusOr<std::unique_ptr<Listener>> Open(const std::string& address);
  // As Stop.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // HOST:PORT with the port that was bound.
  const std::string& address() const { return address_; }
  // Calls `take` on a thread of its own. Once.
  void Start(Take take);
  // Closes the port; `take` is not called after it. Connections that were taken stay.
  void Stop();

  // Connections closed at once because the process had no descriptors to spare.
  std::int64_t turned_away() const { return turned_away_.load(); }

 private:
  Listener() = default;
  void Run();
  void AcceptAll(int listener);
  void TurnAway(int listener);

  std::string address_;
  std::vector<int> sockets_;
  int stop_ = -1;    // an eventfd
  int spare_ = -1;   // given up for a moment to accept and close what cannot be served
  int highest_ = 0;  // descriptor that a connection may have: the rest is for models, jobs and scrapes
  Take take_;
  std::thread thread_;
  std::atomic<std::int64_t> turned_away_ = 0;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_LISTENER_H_
