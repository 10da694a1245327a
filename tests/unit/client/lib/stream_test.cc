#include <future>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "client/lib/client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/fake_server.h"

namespace petit::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const TranslateOptions kOptions{.model = "student", .source_language = "en", .target_language = "fr"};

Client Connect(const FakeServer& server) {
  auto client = Client::Create(
      {.server = server.address(), .retry = {.max_attempts = 4, .initial_backoff = absl::Milliseconds(1)}});
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

TextSource From(std::vector<std::string> texts) {
  return [texts = std::move(texts), next = std::size_t{0}]() mutable -> std::optional<absl::StatusOr<std::string>> {
    if (next == texts.size()) return std::nullopt;
    return texts[next++];
  };
}

std::vector<std::string> Numbered(int count) {
  std::vector<std::string> texts;
  texts.reserve(count);
  for (int i = 0; i < count; ++i) texts.push_back("text" + std::to_string(i));
  return texts;
}

// Keeps what was delivered, in the order of delivery.
struct Collector {
  std::vector<std::int64_t> order;
  std::map<std::int64_t, TextResult> results;

  ResultSink Sink() {
    return [this](std::int64_t index, TextResult result) {
      order.push_back(index);
      EXPECT_TRUE(results.emplace(index, std::move(result)).second) << "text " << index << " was delivered twice";
      return absl::OkStatus();
    };
  }
};

TEST(TranslateStream, DeliversInTheOrderOfTheInput) {
  FakeServer server({.reverse_batches = true});
  Collector collector;
  const absl::Status status =
      Connect(server).TranslateStream(kOptions, {.max_in_flight = 4}, From(Numbered(100)), collector.Sink());
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(collector.order.size(), 100);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(collector.order[i], i);
    EXPECT_EQ(collector.results.at(i)->text, "TEXT" + std::to_string(i));
  }
  EXPECT_EQ(server.streams, 1);
  EXPECT_EQ(server.last_options().model(), "student");
}

TEST(TranslateStream, DeliversInTheOrderOfCompletionWhereAsked) {
  FakeServer server({.reverse_batches = true});
  Collector collector;
  const absl::Status status = Connect(server).TranslateStream(kOptions, {.max_in_flight = 2, .ordered = false},
                                                              From(Numbered(4)), collector.Sink());
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(collector.order, ElementsAre(1, 0, 3, 2));
}

TEST(TranslateStream, AnEmptyInputAsksNobody) {
  FakeServer server;
  Collector collector;
  EXPECT_TRUE(Connect(server).TranslateStream(kOptions, {}, From({}), collector.Sink()).ok());
  EXPECT_TRUE(collector.order.empty());
  EXPECT_EQ(server.streams, 0);
}

TEST(TranslateStream, NeverHoldsMoreTextsThanItsWindow) {
  FakeServer server;
  std::atomic<int> taken = 0;
  std::atomic<int> delivered = 0;
  std::atomic<int> most = 0;
  const absl::Status status = Connect(server).TranslateStream(
      kOptions, {.max_in_flight = 3, .max_undelivered = 5},
      [&]() -> std::optional<std::string> {
        if (taken == 200) return std::nullopt;
        ++taken;
        most = std::max<int>(most, taken - delivered);
        return "text";
      },
      [&](std::int64_t, TextResult) {
        ++delivered;
        return absl::OkStatus();
      });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(delivered, 200);
  // The text whose sink has not returned yet counts on top.
  EXPECT_LE(most, 6);
}

TEST(TranslateStream, OneBadTextDoesNotLoseTheOthers) {
  FakeServer server;
  Collector collector;
  ASSERT_TRUE(Connect(server).TranslateStream(kOptions, {}, From({"one", "bad", "two"}), collector.Sink()).ok());
  EXPECT_EQ(collector.results.at(0)->text, "ONE");
  EXPECT_EQ(collector.results.at(1).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(collector.results.at(2)->text, "TWO");
}

TEST(TranslateStream, AnErrorFromTheSourceKeepsItsPlaceAndAsksNobody) {
  FakeServer server;
  Collector collector;
  std::vector<absl::StatusOr<std::string>> input = {absl::DataLossError("0"), "one", absl::DataLossError("2"), "two",
                                                    absl::DataLossError("4")};
  std::size_t next = 0;
  const absl::Status status = Connect(server).TranslateStream(
      kOptions, {},
      [&]() -> std::optional<absl::StatusOr<std::string>> {
        if (next == input.size()) return std::nullopt;
        return input[next++];
      },
      collector.Sink());
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(collector.order, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(collector.results.at(2).status(), absl::DataLossError("2"));
  EXPECT_EQ(collector.results.at(3)->text, "TWO");
  EXPECT_EQ(server.texts, 2);
}

TEST(TranslateStream, SendsRefusedTextsAgain) {
  FakeServer server({.busy_answers = 3});
  Collector collector;
  const absl::Status status =
      Connect(server).TranslateStream(kOptions, {}, From({"busy a", "one", "busy b"}), collector.Sink());
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(collector.results.at(0)->text, "BUSY A");
  EXPECT_EQ(collector.results.at(2)->text, "BUSY B");
  EXPECT_EQ(server.texts, 9);
}

TEST(TranslateStream, GivesARefusedTextUpAfterItsAttempts) {
  FakeServer server({.busy_answers = 100});
  Collector collector;
  ASSERT_TRUE(Connect(server).TranslateStream(kOptions, {}, From({"busy", "one"}), collector.Sink()).ok());
  EXPECT_EQ(collector.results.at(0).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryDelay(collector.results.at(0).status()), absl::Milliseconds(1));
  EXPECT_EQ(collector.results.at(1)->text, "ONE");
  EXPECT_EQ(server.texts, 5);
}

TEST(TranslateStream, GoesOnAfterABrokenStream) {
  FakeServer server({.break_streams_after = 7});
  Collector collector;
  const absl::Status status =
      Connect(server).TranslateStream(kOptions, {.max_in_flight = 5}, From(Numbered(50)), collector.Sink());
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(collector.results.size(), 50);
  EXPECT_EQ(server.streams, 2);
}

TEST(TranslateStream, GoesOnAfterStreamsThatWereRefused) {
  FakeServer server({.fail_calls = 3});
  Collector collector;
  const absl::Status status = Connect(server).TranslateStream(kOptions, {}, From(Numbered(5)), collector.Sink());
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(collector.results.size(), 5);
  EXPECT_EQ(server.streams, 4);
}

TEST(TranslateStream, GivesUpAfterItsAttempts) {
  FakeServer server({.fail_calls = 1000});
  Collector collector;
  const absl::Status status = Connect(server).TranslateStream(kOptions, {}, From(Numbered(5)), collector.Sink());
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "model 'student' is loading");
  EXPECT_TRUE(collector.order.empty());
  EXPECT_EQ(server.streams, 4);
}

TEST(TranslateStream, ReturnsTheServersErrorAtOnce) {
  FakeServer server;
  TranslateOptions options = kOptions;
  options.model = "nobody";
  Collector collector;
  const absl::Status status = Connect(server).TranslateStream(options, {}, From(Numbered(50)), collector.Sink());
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("nobody"));
  EXPECT_EQ(RequestId(status), "request-7");
  EXPECT_EQ(server.streams, 1);
}

TEST(TranslateStream, SaysThatNobodyAnswers) {
  FakeServer server;
  const Client client = Connect(server);
  server.Stop();
  Collector collector;
  const absl::Status status = client.TranslateStream(kOptions, {}, From(Numbered(5)), collector.Sink());
  EXPECT_TRUE(IsServerUnreachable(status)) << status;
}

TEST(TranslateStream, ASinksErrorEndsTheStream) {
  FakeServer server;
  int delivered = 0;
  const absl::Status status =
      Connect(server).TranslateStream(kOptions, {}, From(Numbered(1000)), [&](std::int64_t, const TextResult&) {
        return ++delivered == 3 ? absl::DataLossError("the disk is full") : absl::OkStatus();
      });
  EXPECT_EQ(status, absl::DataLossError("the disk is full"));
  EXPECT_EQ(delivered, 3);
}

TEST(TranslateStream, CancellationEndsIt) {
  FakeServer server;
  Cancellation cancellation;
  Collector collector;
  std::thread other([&] {
    while (server.streams == 0) std::this_thread::yield();
    cancellation.Cancel();
  });
  const absl::Status status =
      Connect(server).TranslateStream(kOptions, {}, From({"hang"}), collector.Sink(), {.cancellation = &cancellation});
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  other.join();
}

TEST(TranslateStream, SilenceIsATimeout) {
  FakeServer server;
  Collector collector;
  const absl::Status status = Connect(server).TranslateStream(kOptions, {}, From({"hang", "one"}), collector.Sink(),
                                                              {.timeout = absl::Milliseconds(50)});
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(status.message(), HasSubstr("no answer from " + server.address() + " within 50ms while 2 texts"));
}

TEST(TranslateStream, WakesABlockedSourceOnFailure) {
  FakeServer server({.fail_calls = 1, .fail_status = {grpc::StatusCode::INTERNAL, "a bug"}});
  Collector collector;
  std::promise<void> failed;
  bool first = true;
  const absl::Status status = Connect(server).TranslateStream(
      kOptions, {.on_failure = [&] { failed.set_value(); }},
      [&]() -> std::optional<absl::StatusOr<std::string>> {
        if (std::exchange(first, false)) return "one";
        failed.get_future().wait();
        return std::nullopt;
      },
      collector.Sink());
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
}

TEST(TranslateStream, RefusesAWindowOfNothing) {
  FakeServer server;
  Collector collector;
  EXPECT_EQ(Connect(server).TranslateStream(kOptions, {.max_in_flight = 0}, From({"one"}), collector.Sink()).code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace petit::client
