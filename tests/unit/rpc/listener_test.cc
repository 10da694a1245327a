// Ports are bound, connections handed over, and a process without descriptors recovers.
#include "server/rpc/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace petit::serving {
namespace {

using ::testing::HasSubstr;

int PortOf(const Listener& listener) {
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(listener.address().substr(listener.address().rfind(':') + 1), &port));
  return port;
}

int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0) << std::strerror(errno);
  return fd;
}

// Whether the other side closed it (true), or sent a byte (false). Waits.
bool IsClosed(int fd) {
  char byte = 0;
  return recv(fd, &byte, 1, 0) <= 0;
}

// Takes connections, greets each with a byte, and keeps it.
class Host {
 public:
  ~Host() { CloseAll(); }
  Listener::Take taker() {
    return [this](int /*listener*/, int connection) {
      const absl::MutexLock lock(&mutex_);
      EXPECT_EQ(send(connection, "!", 1, 0), 1);
      taken_.push_back(connection);
    };
  }
  std::size_t taken() const {
    const absl::MutexLock lock(&mutex_);
    return taken_.size();
  }
  void CloseAll() {
    const absl::MutexLock lock(&mutex_);
    for (const int fd : taken_) close(fd);
    taken_.clear();
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<int> taken_ ABSL_GUARDED_BY(mutex_);
};

TEST(Listener, HandsConnectionsOver) {
  Host host;
  const auto listener = Listener::Open("127.0.0.1:0");
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_TRUE(absl::StartsWith((*listener)->address(), "127.0.0.1:"));
  EXPECT_GT(PortOf(**listener), 0);
  const int early = Connect(PortOf(**listener));  // waits in the backlog
  (*listener)->Start(host.taker());
  EXPECT_FALSE(IsClosed(early));
  const int late = Connect(PortOf(**listener));
  EXPECT_FALSE(IsClosed(late));
  EXPECT_EQ(host.taken(), 2);
  (*listener)->Stop();
  close(early);
  close(late);
}

TEST(Listener, LocalhostIsOnePortOnAllItsAddresses) {
  Host host;
  const auto listener = Listener::Open("localhost:0");
  ASSERT_TRUE(listener.ok()) << listener.status();
  (*listener)->Start(host.taker());
  const int fd = Connect(PortOf(**listener));
  EXPECT_FALSE(IsClosed(fd));
  close(fd);
}

TEST(Listener, SaysWhatIsWrongWithAnAddress) {
  const auto first = Listener::Open("127.0.0.1:0");
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status taken = Listener::Open((*first)->address()).status();
  EXPECT_TRUE(absl::IsUnavailable(taken)) << taken;
  EXPECT_THAT(taken.message(), HasSubstr("Address already in use"));
  EXPECT_TRUE(absl::IsUnavailable(Listener::Open("192.0.2.1:0").status()));  // reserved for documentation
  for (const char* address : {"", "host", ":1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:-1"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Listener::Open(address).status())) << address;
  }
}

TEST(Listener, AStoppedPortIsFree) {
  auto listener = Listener::Open("127.0.0.1:0");
  ASSERT_TRUE(listener.ok()) << listener.status();
  const std::string address = (*listener)->address();
  (*listener)->Stop();
  EXPECT_TRUE(Listener::Open(address).ok());
}

// Lowers the limit of descriptors while it lives.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t limit) {
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit lower = before_;
    lower.rlim_cur = limit;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &lower), 0);
  }
  ~DescriptorLimit() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST(Listener, TurnsAwayWhatWouldLeaveNoDescriptorsAndServesAgainAfterwards) {
  constexpr rlim_t kLimit = 200;
  const DescriptorLimit limit(kLimit);
  Host host;
  const auto listener = Listener::Open("127.0.0.1:0");
  ASSERT_TRUE(listener.ok()) << listener.status();
  (*listener)->Start(host.taker());
  // Clients and server are one process here, so each connection takes two.
  std::vector<int> clients;
  bool turned_away = false;
  while (!turned_away && clients.size() < kLimit / 2) {
    clients.push_back(Connect(PortOf(**listener)));
    turned_away = IsClosed(clients.back());
  }
  EXPECT_TRUE(turned_away);
  EXPECT_GE((*listener)->turned_away(), 1);
  EXPECT_LT(clients.size(), kLimit / 2 - 20) << "some are kept for the rest of the process";
  for (const int fd : clients) close(fd);
  host.CloseAll();
  const int again = Connect(PortOf(**listener));
  EXPECT_FALSE(IsClosed(again));
  close(again);
}

TEST(Listener, SurvivesHavingNoDescriptorsAtAll) {
  Host host;
  const auto listener = Listener::Open("127.0.0.1:0");
  ASSERT_TRUE(listener.ok()) << listener.status();
  (*listener)->Start(host.taker());
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  {
    const DescriptorLimit limit(static_cast<rlim_t>(client) + 1);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(PortOf(**listener)));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::vector<int> fill;
    for (int fd = dup(client); fd >= 0; fd = dup(client)) fill.push_back(fd);
    ASSERT_EQ(connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_TRUE(IsClosed(client));
    for (const int fd : fill) close(fd);
  }
  close(client);
  const int again = Connect(PortOf(**listener));
  EXPECT_FALSE(IsClosed(again));
  close(again);
}

}  // namespace
}  // namespace petit::serving
