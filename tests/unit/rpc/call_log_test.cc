// What the log says of a call over gRPC.
#include <gmock/gmock.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "server/log.h"
#include "spdlog/sinks/ostream_sink.h"
#include "spdlog/spdlog.h"
#include "tests/unit/rpc/server_fixture.h"

namespace petit::serving {
namespace {

constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr char kTraceparent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

class CallLogTest : public ServerTest {
 protected:
  CallLogTest() {
    auto logger = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log_));
    logger->set_formatter(MakeLogFormatter(LogFormat::kJson));
    spdlog::set_default_logger(logger);
  }
  ~CallLogTest() override {
    Stop();
    spdlog::set_default_logger(before_);
  }

  // The entry of a Translate call with these headers.
  nlohmann::json Call(const std::vector<std::pair<std::string, std::string>>& headers) {
    AddModel(FakeSettings("student"));
    Start();
    grpc::ClientContext context;
    for (const auto& [name, value] : headers) context.AddMetadata(name, value);
    v1::TranslateResponse response;
    EXPECT_TRUE(translation_->Translate(&context, Request("student", {"a", "b"}), &response).ok());
    Stop();
    return nlohmann::json::parse(log_.str());
  }

 private:
  std::ostringstream log_;
  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
};

TEST_F(CallLogTest, HasTheRequestsIdAndTheCallersTrace) {
  const nlohmann::json entry = Call({{"x-request-id", "mine"}, {"traceparent", kTraceparent}, {"tracestate", "a=b"}});
  EXPECT_EQ(entry["method"], "Translate");
  EXPECT_EQ(entry["request_id"], "mine");
  EXPECT_EQ(entry["model"], "student");
  EXPECT_EQ(entry["texts"], 2);
  EXPECT_EQ(entry["trace_id"], kTrace);
  EXPECT_EQ(entry["span_id"], "00f067aa0ba902b7");
}

TEST_F(CallLogTest, HasNoTraceWhereTheCallerHasNone) { EXPECT_FALSE(Call({}).contains("trace_id")); }

TEST_F(CallLogTest, HasNoTraceWhereItIsMalformed) {
  EXPECT_FALSE(Call({{"traceparent", std::string("x") + kTraceparent}}).contains("trace_id"));
}

}  // namespace
}  // namespace petit::serving
