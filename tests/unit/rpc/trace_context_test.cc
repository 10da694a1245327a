#include "server/rpc/trace_context.h"

#include <gtest/gtest.h>

#include <string>

namespace petit::serving {
namespace {

constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr char kSpan[] = "00f067aa0ba902b7";

std::string Header(const std::string& version = "00", const std::string& trace = kTrace,
                   const std::string& span = kSpan, const std::string& flags = "01") {
  return version + "-" + trace + "-" + span + "-" + flags;
}

TEST(TraceContextTest, AHeaderOfTheStandardIsRead) {
  for (const std::string& header : {Header(), Header("00", kTrace, kSpan, "ff"), Header("cc"), Header("cc") + "-",
                                    Header("cc") + "-what comes later"}) {
    const auto trace = ParseTraceparent(header);
    ASSERT_TRUE(trace.has_value()) << header;
    EXPECT_EQ(trace->trace_id, kTrace);
    EXPECT_EQ(trace->span_id, kSpan);
  }
}

TEST(TraceContextTest, AnythingElseIsIgnored) {
  std::string upper = Header();
  upper[3] = 'B';
  for (const std::string& header : {std::string(),
                                    std::string("00"),
                                    std::string("00-"),
                                    upper,
                                    Header() + "-",
                                    Header() + "0",
                                    " " + Header(),
                                    Header() + " ",
                                    Header("ff"),
                                    Header("0"),
                                    Header("0g"),
                                    Header("00", std::string(32, '0')),
                                    Header("00", kTrace, std::string(16, '0')),
                                    Header("00", std::string(31, '1')),
                                    Header("00", kTrace, "1"),
                                    Header("00", kTrace, kSpan, "0"),
                                    Header("00", kTrace, kSpan, ""),
                                    Header("cc") + "0",
                                    Header("cc") + "x",
                                    Header().substr(0, 54),
                                    std::string("not a header at all")}) {
    EXPECT_FALSE(ParseTraceparent(header).has_value()) << header;
  }
}

}  // namespace
}  // namespace petit::serving
