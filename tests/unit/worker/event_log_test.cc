#include "server/worker/event_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "google/protobuf/util/json_util.h"

namespace petit::worker {
namespace {

class EventLogTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::remove(path_); }
  void TearDown() override { std::filesystem::remove(path_); }

  std::vector<v1::WorkerEvent> Read() const {
    std::vector<v1::WorkerEvent> events;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) {
      v1::WorkerEvent event;
      EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(line, &event).ok()) << line;
      events.push_back(event);
    }
    return events;
  }

  static v1::WorkerEvent Log(const std::string& text) {
    v1::WorkerEvent event;
    event.mutable_log()->set_text(text);
    return event;
  }

  const std::string path_ = testing::TempDir() + "/petit_events_" + std::to_string(getpid());
};

TEST_F(EventLogTest, EventsOfAllThreadsAreLinesNumberedWithoutGaps) {
  auto log = EventLog::Create(path_);
  ASSERT_TRUE(log.ok()) << log.status();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) (*log)->Append(Log("a \"quoted\"\nline"));
    });
  }
  for (std::thread& thread : threads) thread.join();
  v1::WorkerEvent last;
  last.mutable_finished()->set_best_arm("a");
  (*log)->AppendLast(last);
  const std::vector<v1::WorkerEvent> events = Read();
  ASSERT_EQ(events.size(), 201);
  for (std::size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i].sequence(), i + 1);
  EXPECT_EQ(events.back().finished().best_arm(), "a");
}

TEST_F(EventLogTest, AnAttemptIsWrittenOnce) {
  { ASSERT_TRUE(EventLog::Create(path_).ok()); }
  EXPECT_EQ(EventLog::Create(path_).status().code(), absl::StatusCode::kAlreadyExists);
}

}  // namespace
}  // namespace petit::worker
