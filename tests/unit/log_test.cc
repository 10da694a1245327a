#include "server/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>

#include "nlohmann/json.hpp"
#include "spdlog/sinks/ostream_sink.h"
#include "spdlog/spdlog.h"

namespace petit::serving {
namespace {

using nlohmann::json;
using testing::EndsWith;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

class LogTest : public testing::Test {
 protected:
  ~LogTest() override { spdlog::set_default_logger(before_); }

  void Start(LogFormat format) {
    auto logger = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_st>(out_));
    logger->set_formatter(MakeLogFormatter(format));
    spdlog::set_default_logger(logger);
  }
  // What was logged since, which must be one line.
  std::string Line() {
    std::string line = out_.str();
    out_.str("");
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << line;
    EXPECT_THAT(line, EndsWith("\n"));
    if (!line.empty()) line.pop_back();
    return line;
  }

 private:
  std::ostringstream out_;
  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
};

CallRecord Failed() {
  return {.method = "Translate",
          .request_id = "4f2a",
          .model = "student",
          .code = absl::StatusCode::kInvalidArgument,
          .texts = 2,
          .took = absl::Milliseconds(12.5),
          .error = "the text is empty",
          .trace_id = "4bf92f3577b34da6a3ce929d0e0e4736",
          .span_id = "00f067aa0ba902b7",
          .client = "batch"};
}

TEST_F(LogTest, CallsThatAreCancelledBeforeTheyAskForAnythingLeaveNoLine) {
  Start(LogFormat::kText);
  CallRecord reset = Failed();
  reset.code = absl::StatusCode::kCancelled;
  reset.texts = 0;
  LogCall(reset);
  CallRecord changed_its_mind = reset;
  changed_its_mind.texts = 1;
  LogCall(changed_its_mind);
  EXPECT_THAT(Line(), HasSubstr("code=CANCELLED texts=1"));
}

TEST_F(LogTest, TextTellsOfACallInOneLine) {
  Start(LogFormat::kText);
  LogCall(Failed());
  EXPECT_THAT(Line(), EndsWith(" info Translate request=4f2a model=student code=INVALID_ARGUMENT texts=2 "
                               "seconds=0.012500 trace=4bf92f3577b34da6a3ce929d0e0e4736 span=00f067aa0ba902b7 "
                               "client=batch the text is empty"));
  LogCall({.method = "ListModels", .request_id = "1"});
  EXPECT_THAT(Line(), EndsWith(" info ListModels request=1 model=- code=OK texts=0 seconds=0.000000"));
}

TEST_F(LogTest, JsonHasAFieldForEachFact) {
  Start(LogFormat::kJson);
  LogCall(Failed());
  json line = json::parse(Line());
  EXPECT_THAT(line["time"].get<std::string>(),
              MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z"));
  line.erase("time");
  EXPECT_EQ(line, json::parse(R"({"level": "info", "message": "Translate INVALID_ARGUMENT", "method": "Translate",
    "request_id": "4f2a", "model": "student", "code": "INVALID_ARGUMENT", "texts": 2, "seconds": 0.0125,
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7", "client": "batch",
    "error": "the text is empty"})"));
}

TEST_F(LogTest, JsonLeavesOutWhatIsNotThere) {
  Start(LogFormat::kJson);
  LogCall({.method = "ListModels", .request_id = "1"});
  json line = json::parse(Line());
  line.erase("time");
  EXPECT_EQ(line, json::parse(R"({"level": "info", "message": "ListModels OK", "method": "ListModels",
    "request_id": "1", "code": "OK", "texts": 0, "seconds": 0.0})"));
}

TEST_F(LogTest, AnEntryThatIsNoCallHasNoFieldsOfOne) {
  Start(LogFormat::kJson);
  LogCall(Failed());
  Line();
  spdlog::warn("model {}: {}", "student", "falls back");
  json line = json::parse(Line());
  line.erase("time");
  EXPECT_EQ(line, json::parse(R"({"level": "warning", "message": "model student: falls back"})"));
}

TEST_F(LogTest, TheJournalIsToldThePriority) {
  for (const LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    Start(format);
    spdlog::default_logger()->set_formatter(WithPriority(MakeLogFormatter(format)));
    spdlog::critical("text");
    EXPECT_THAT(Line(), MatchesRegex("<2>[{2].*text.*"));
    spdlog::error("text");
    EXPECT_THAT(Line(), StartsWith("<3>"));
    spdlog::warn("text");
    EXPECT_THAT(Line(), StartsWith("<4>"));
    spdlog::info("text");
    EXPECT_THAT(Line(), StartsWith("<6>"));
  }
}

TEST_F(LogTest, TheServersOwnFailuresAreErrors) {
  Start(LogFormat::kJson);
  for (const auto& [code, level] :
       {std::pair(absl::StatusCode::kInternal, "error"), std::pair(absl::StatusCode::kDataLoss, "error"),
        std::pair(absl::StatusCode::kUnavailable, "info")}) {
    LogCall({.method = "Translate", .code = code});
    EXPECT_EQ(json::parse(Line())["level"], level);
  }
}

TEST_F(LogTest, NothingThatIsLoggedBreaksALine) {
  const std::string nasty = std::string("a\nb\r\n\x1b\"\\\xff\xc3 \u2028\u0085 {} ") + std::string("\0end", 4);
  Start(LogFormat::kText);
  spdlog::info("{}", nasty);
  EXPECT_THAT(Line(), EndsWith(" info a b? ?\"\\?? ?? {} ?end"));
  Start(LogFormat::kJson);
  spdlog::info("{}", nasty);
  const std::string line = Line();
  EXPECT_TRUE(std::all_of(line.begin(), line.end(), [](char c) { return c >= ' ' && c < 0x7f; })) << line;
  const std::string message = json::parse(line)["message"].get<std::string>();
  EXPECT_THAT(message, HasSubstr("a\nb\r\n"));
  EXPECT_THAT(message, HasSubstr("\ufffd"));
  EXPECT_THAT(message, Not(HasSubstr("\xff")));
  CallRecord call = Failed();
  call.error = call.model = nasty;
  LogCall(call);
  EXPECT_TRUE(json::accept(Line()));
}

}  // namespace
}  // namespace petit::serving
