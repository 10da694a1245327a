// Over the wire, to a server that upper-cases.
#include "client/load/sender.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/client/fake_server.h"

namespace petit::load {
namespace {

using client::FakeServer;

Clients Connect(const std::string& address, int count = 1) {
  Clients clients;
  for (int i = 0; i < count; ++i) {
    auto client = client::Client::Create(
        {.server = address, .timeout = absl::Seconds(60), .retry = {.max_attempts = 1}, .own_connection = count > 1});
    EXPECT_TRUE(client.ok());
    clients.push_back(std::make_shared<client::Client>(*std::move(client)));
  }
  return clients;
}

// Gathers outcomes.
class Outcomes {
 public:
  Sender::Done Taker() {
    return [this](const Outcome& outcome) {
      const std::lock_guard lock(mutex_);
      all_.push_back(outcome);
      changed_.notify_all();
    };
  }
  std::vector<Outcome> Wait(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return all_.size() >= count; });
    return all_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Outcome> all_;
};

const std::vector<client::TranslateOptions> kModels = {
    {.model = "student", .source_language = "en", .target_language = "fr"},
    {.model = "nobody", .source_language = "en", .target_language = "fr"}};

enum class Kind { kUnary, kStream };

class SenderTest : public testing::TestWithParam<Kind> {
 protected:
  std::unique_ptr<Sender> Make(const Clients& clients, absl::Duration deadline = absl::Seconds(60)) {
    return GetParam() == Kind::kUnary ? MakeUnarySender(clients, kModels, deadline)
                                      : MakeStreamSender(clients, kModels);
  }
  FakeServer server_;
  Outcomes outcomes_;
};

TEST_P(SenderTest, EveryTextHasOneOutcomeWithWhatTheServerTold) {
  const std::unique_ptr<Sender> sender = Make(Connect(server_.address()));
  for (int i = 0; i < 500; ++i) sender->Send(0, "text " + std::to_string(i), outcomes_.Taker());
  const std::vector<Outcome> all = outcomes_.Wait(500);
  for (const Outcome& outcome : all) {
    ASSERT_TRUE(outcome.status.ok()) << outcome.status;
    ASSERT_EQ(outcome.target_tokens, 4);
  }
  EXPECT_EQ(server_.texts, 500);
}

TEST_P(SenderTest, ARefusalIsAnOutcomeAndNotSentAgain) {
  const std::unique_ptr<Sender> sender = Make(Connect(server_.address()));
  sender->Send(0, "busy", outcomes_.Taker());
  sender->Send(0, "bad", outcomes_.Taker());
  std::vector<Outcome> all = outcomes_.Wait(2);
  std::sort(all.begin(), all.end(),
            [](const Outcome& a, const Outcome& b) { return a.status.code() < b.status.code(); });
  EXPECT_EQ(all[0].status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(all[1].status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(server_.texts, 2);
}

TEST_P(SenderTest, AModelThatIsNotThereFailsItsOwnTextsOnly) {
  const std::unique_ptr<Sender> sender = Make(Connect(server_.address()));
  sender->Send(1, "one", outcomes_.Taker());
  EXPECT_EQ(outcomes_.Wait(1)[0].status.code(), absl::StatusCode::kNotFound);
  sender->Send(1, "two", outcomes_.Taker());
  EXPECT_EQ(outcomes_.Wait(2)[1].status.code(), absl::StatusCode::kNotFound);
  sender->Send(0, "three", outcomes_.Taker());
  EXPECT_TRUE(outcomes_.Wait(3)[2].status.ok());
}

TEST_P(SenderTest, AServerThatIsGoneIsAnOutcome) {
  const std::unique_ptr<Sender> sender = Make(Connect(server_.address()));
  server_.Stop();
  sender->Send(0, "one", outcomes_.Taker());
  EXPECT_EQ(outcomes_.Wait(1)[0].status.code(), absl::StatusCode::kUnavailable);
}

TEST_P(SenderTest, TextsGoOverTheConnectionsInTurn) {
  const std::unique_ptr<Sender> sender = Make(Connect(server_.address(), 3));
  for (int i = 0; i < 30; ++i) sender->Send(0, "text", outcomes_.Taker());
  for (const Outcome& outcome : outcomes_.Wait(30)) EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(server_.peers().size(), GetParam() == Kind::kUnary ? 3 : 1);
}

INSTANTIATE_TEST_SUITE_P(Kinds, SenderTest, testing::Values(Kind::kUnary, Kind::kStream),
                         [](const auto& info) { return info.param == Kind::kUnary ? "Unary" : "Stream"; });

TEST(UnarySender, ADeadlineIsEachCalls) {
  FakeServer server;
  Outcomes outcomes;
  const auto sender = MakeUnarySender(Connect(server.address()), kModels, absl::Milliseconds(1));
  sender->Send(0, "hang", outcomes.Taker());
  EXPECT_EQ(outcomes.Wait(1)[0].status.code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(UnarySender, AnAnswerMaySendTheNextText) {
  FakeServer server;
  const auto sender = MakeUnarySender(Connect(server.address()), kModels, absl::Seconds(60));
  Outcomes outcomes;
  // From within the answer, as a closed loop may.
  sender->Send(0, "one", [&](const Outcome&) { sender->Send(0, "two", outcomes.Taker()); });
  EXPECT_TRUE(outcomes.Wait(1)[0].status.ok());
}

}  // namespace
}  // namespace petit::load
