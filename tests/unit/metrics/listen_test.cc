// Scrapes over loopback with raw sockets, as a well-behaved and as a half-dead client.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metrics/metrics.h"
#include "tests/unit/metrics/exposition.h"

#ifdef __SANITIZE_THREAD__
// civetweb writes the Date header with gmtime, whose result all its threads share.
extern "C" const char* __tsan_default_suppressions() {  // NOLINT(bugprone-reserved-identifier)
  return "race:gmtime\n";
}
#endif

namespace petit::serving {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;
using ::testing::StartsWith;

constexpr char kRequest[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

// A client's connection; closed at the end of its life.
class Connection {
 public:
  explicit Connection(const std::string& address) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const std::vector<std::string> parts = absl::StrSplit(address, ':');
    int port = 0;
    EXPECT_TRUE(absl::SimpleAtoi(parts.back(), &port)) << address;
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0) << address;
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { close(socket_); }

  void Send(const std::string& text) const {
    EXPECT_EQ(send(socket_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  std::string ReadAll() const {
    std::string answer;
    std::array<char, 4096> buffer;
    for (ssize_t size = 0; (size = recv(socket_, buffer.data(), buffer.size(), 0)) > 0;) {
      answer.append(buffer.data(), static_cast<std::size_t>(size));
    }
    return answer;
  }

 private:
  int socket_;
};

std::string Scrape(const std::string& address) {
  const Connection connection(address);
  connection.Send(kRequest);
  return connection.ReadAll();
}

// The body of a chunked or plain answer: chunk sizes stand on lines of their own, which the parser passes over.
Exposition ScrapeSeries(const std::string& address) { return ParseExposition(Scrape(address)); }

TEST(ListenTest, ServesWhatTextSaysOnAPortOfTheKernelsChoice) {
  Metrics metrics({"m"});
  const absl::StatusOr<std::string> address = metrics.Listen("127.0.0.1:0");
  ASSERT_TRUE(address.ok()) << address.status();
  EXPECT_THAT(*address, StartsWith("127.0.0.1:"));
  EXPECT_NE(*address, "127.0.0.1:0");
  metrics.CountRequest("Translate", "m", "OK", absl::Milliseconds(5));
  const std::string answer = Scrape(*address);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(answer, HasSubstr("text/plain"));
  const Exposition series = ParseExposition(answer);
  EXPECT_THAT(Value(series, R"(petit_requests_total{code="OK",method="Translate",model="m"})"), Optional(1.0));
  EXPECT_EQ(CountSeries(series, "process_"), 6);
  for (const auto& [name, value] : ParseExposition(metrics.Text())) {
    EXPECT_TRUE(Value(series, name).has_value()) << name;
  }
}

TEST(ListenTest, HalfSentRequestsDoNotBlockAScrape) {
  Metrics metrics({"m"});
  const absl::StatusOr<std::string> address = metrics.Listen("127.0.0.1:0");
  ASSERT_TRUE(address.ok()) << address.status();
  std::vector<std::unique_ptr<Connection>> half_sent;
  for (int i = 0; i < 20; ++i) {
    half_sent.push_back(std::make_unique<Connection>(*address));
    half_sent.back()->Send("GET /metrics HTTP/1.1\r\nHost: ");
  }
  EXPECT_THAT(Value(ScrapeSeries(*address), R"(petit_model_ready{model="m"})"), Optional(0.0));
}

TEST(ListenTest, APortInUseIsUnavailableAndSaysSo) {
  Metrics first({"m"});
  const absl::StatusOr<std::string> address = first.Listen("127.0.0.1:0");
  ASSERT_TRUE(address.ok()) << address.status();
  Metrics second({"m"});
  const absl::Status status = second.Listen(*address).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("'", *address, "': the port is in use")));
  // It can still listen elsewhere, and once only.
  EXPECT_TRUE(second.Listen("127.0.0.1:0").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(second.Listen("127.0.0.1:0").status()));
}

TEST(ListenTest, ThePortIsFreeAfterwards) {
  std::string address;
  {
    Metrics metrics({"m"});
    const absl::StatusOr<std::string> bound = metrics.Listen("127.0.0.1:0");
    ASSERT_TRUE(bound.ok()) << bound.status();
    address = *bound;
  }
  Metrics metrics({"m"});
  EXPECT_TRUE(metrics.Listen(address).ok());
}

TEST(ListenTest, HostNamesAreResolved) {
  Metrics metrics({"m"});
  const absl::StatusOr<std::string> address = metrics.Listen("localhost:0");
  ASSERT_TRUE(address.ok()) << address.status();
  EXPECT_THAT(*address, StartsWith("localhost:"));
  EXPECT_FALSE(ScrapeSeries(*address).empty());
}

TEST(ListenTest, AnAddressThatIsNoneIsAnInvalidArgument) {
  for (const char* address :
       {"", "9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:-1",
        "256.256.256.256:0", "192.0.2.1:0", "127.0.0.1:1,127.0.0.1:2", "[::1]:0"}) {
    Metrics metrics({"m"});
    const absl::Status status = metrics.Listen(address).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << address << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("metrics cannot be served on"));
  }
}

}  // namespace
}  // namespace petit::serving
