#include "server/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"

namespace petit::serving {
namespace {

// systemd's end of the socket: bound to a path, or, where the name begins with '@', in the abstract namespace.
class Listener {
 public:
  explicit Listener(const std::string& name) : name_(name), descriptor_(socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    EXPECT_EQ(bind(descriptor_, reinterpret_cast<const sockaddr*>(&address), size), 0) << strerror(errno);
  }
  ~Listener() {
    close(descriptor_);
    unlink(name_.c_str());
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  std::string Receive() const {
    std::array<char, 256> buffer;
    const ssize_t got = recv(descriptor_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    return got < 0 ? "nothing" : std::string(buffer.data(), got);
  }

 private:
  const std::string name_;
  const int descriptor_;
};

class ServiceManagerTest : public testing::Test {
 protected:
  ~ServiceManagerTest() override {
    unsetenv("NOTIFY_SOCKET");
    unsetenv("JOURNAL_STREAM");
  }
};

TEST_F(ServiceManagerTest, ItIsToldOverItsSocket) {
  for (const std::string& name :
       {absl::StrCat(testing::TempDir(), "petit-notify-", getpid()), absl::StrCat("@petit-notify-", getpid())}) {
    const Listener listener(name);
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
    EXPECT_TRUE(TellServiceManager("READY=1\nSTATUS=serving")) << name;
    EXPECT_EQ(listener.Receive(), "READY=1\nSTATUS=serving") << name;
  }
}

TEST_F(ServiceManagerTest, WhereNobodyListensNothingIsTold) {
  EXPECT_FALSE(TellServiceManager("READY=1"));
  for (const std::string& name : {std::string(), std::string("/no/such/socket"), std::string(200, 'x')}) {
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
    EXPECT_FALSE(TellServiceManager("READY=1")) << name;
  }
}

TEST_F(ServiceManagerTest, TheJournalIsKnownByItsDescriptor) {
  EXPECT_FALSE(LogsToJournal());
  struct stat error {};
  ASSERT_EQ(fstat(STDERR_FILENO, &error), 0);
  setenv("JOURNAL_STREAM", absl::StrCat(error.st_dev, ":", error.st_ino).c_str(), 1);
  EXPECT_TRUE(LogsToJournal());
  setenv("JOURNAL_STREAM", absl::StrCat(error.st_dev, ":", error.st_ino + 1).c_str(), 1);
  EXPECT_FALSE(LogsToJournal()) << "standard error was sent elsewhere since";
}

}  // namespace
}  // namespace petit::serving
