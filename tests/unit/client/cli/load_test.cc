// petit load, against a server that upper-cases.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/cli/load_text.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/cli/run_cli.h"
#include "tests/unit/client/fake_server.h"

namespace petit::cli {
namespace {

using client::FakeServer;
using ::testing::AllOf;
using ::testing::HasSubstr;

class LoadCommand : public testing::Test {
 protected:
  CliResult Load(std::vector<std::string> more) {
    std::vector<std::string> arguments = {"load",     "--server", server_.address(), "--json", json_.path(),
                                          "--warmup", "0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCli(arguments);
  }
  nlohmann::json Json() const { return nlohmann::json::parse(ReadFile(json_.path())); }

  FakeServer server_;
  TempFile json_;
};

TEST_F(LoadCommand, AnOpenLoopSendsSoManyTexts) {
  const CliResult result = Load({"--model", "student", "--rate", "500", "--arrivals", "constant", "--requests", "40"});
  EXPECT_EQ(result.code, kExitOk) << result.err;
  const nlohmann::json json = Json();
  EXPECT_EQ(json["settings"]["arrivals"], "constant");
  EXPECT_EQ(json["phases"][0]["rate"], 500);
  const nlohmann::json& figures = json["phases"][0]["figures"][1];
  EXPECT_EQ(figures["model"], "student");
  EXPECT_EQ(figures["sent"], 40);
  EXPECT_EQ(figures["answered"], 40);
  EXPECT_EQ(figures["failed"], 0);
  EXPECT_EQ(server_.texts, 41) << "and one to see that the model is there";
  EXPECT_EQ(json["models"][0]["precision"], "INT8");
  EXPECT_EQ(json["hardware"]["cpu"], "Abacus 3000");
  for (const char* part : {"open loop, constant arrivals", "500 texts/s", "P99.9 MS", "QUEUE P50 MS", "GENERATOR LAG",
                           "0123456789ab", "INT8 on cpu", "1000 synthetic texts of 5-25 words"}) {
    EXPECT_THAT(result.out, HasSubstr(part));
  }
}

TEST_F(LoadCommand, AClosedLoopOfUnaryCallsOrOfAStream) {
  for (const char* how : {"--unary", "--stream"}) {
    const int texts = server_.texts;
    const CliResult result =
        Load({"--model", "student", "--model", "teacher=2", "--streams", "2,4", "--requests", "30", how});
    EXPECT_EQ(result.code, kExitOk) << result.err;
    const nlohmann::json json = Json();
    ASSERT_EQ(json["phases"].size(), 2);
    EXPECT_EQ(json["phases"][1]["streams"], 4);
    EXPECT_EQ(json["phases"][1]["figures"][0]["sent"], 30);
    EXPECT_EQ(json["phases"][1]["figures"][1]["sent"], 10);
    EXPECT_EQ(json["phases"][1]["figures"][2]["sent"], 20);
    EXPECT_EQ(server_.texts - texts, 62);
  }
  EXPECT_EQ(server_.streams, 2) << "one for each model";
}

TEST_F(LoadCommand, RefusalsAreCountedAndNamed) {
  const TempFile texts("one\nbad two\n");
  const CliResult result = Load({"--model", "student", "--streams", "1", "--requests", "10", "--texts", texts.path()});
  EXPECT_EQ(result.code, kExitTextsFailed);
  EXPECT_THAT(result.out, HasSubstr("INVALID_ARGUMENT"));
  EXPECT_THAT(result.out, HasSubstr("text 'bad two' is bad"));
  EXPECT_EQ(Json()["phases"][0]["figures"][0]["failed"], 5);
}

TEST_F(LoadCommand, TheObjectiveDecidesTheExitCode) {
  const TempFile texts("one\nbad two\n");
  const std::vector<std::string> load = {"--model",    "student", "--streams", "1",
                                         "--requests", "10",      "--texts",   texts.path()};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), load.begin(), load.end());
    return Load(more);
  };
  CliResult result = with({"--slo", "p50=60s,error-rate=50%"});
  EXPECT_EQ(result.code, kExitOk) << result.err;
  EXPECT_EQ(Json()["phases"][0]["held"], true);
  result = with({"--slo", "p99=60s", "--slo", "error-rate=10%"});
  EXPECT_EQ(result.code, kExitObjectiveBroken);
  EXPECT_THAT(result.err,
              HasSubstr("petit: the SLO is broken at 1 in flight: p99=1m: 50.00% of 10 texts were answered"));
  EXPECT_THAT(result.err, HasSubstr("error-rate=10%: 5 of 10 texts failed, 50.00%"));
  EXPECT_EQ(Json()["phases"][0]["held"], false);
}

TEST_F(LoadCommand, ASearchWithoutAnyRateThatHoldsIsBroken) {
  const TempFile texts("bad\n");
  const CliResult result = Load({"--model", "student", "--rate", "500", "--requests", "2", "--texts", texts.path(),
                                 "--slo", "error-rate=1%", "--search"});
  EXPECT_EQ(result.code, kExitObjectiveBroken);
  EXPECT_THAT(result.out, HasSubstr("no rate holds"));
  EXPECT_EQ(Json()["search"]["best"], nullptr);
  EXPECT_EQ(Json()["phases"].size(), 11);
  EXPECT_THAT(result.err, HasSubstr("500 texts/s: p50 - p99 - ms, 2 failed; breaks error-rate=1%"));
}

TEST_F(LoadCommand, WritesAPage) {
  const TempFile html;
  EXPECT_EQ(Load({"--model", "student", "--streams", "1", "--requests", "3", "--html", html.path()}).code, kExitOk);
  EXPECT_THAT(ReadFile(html.path()), AllOf(HasSubstr("<!DOCTYPE html>"), HasSubstr("Latency over time: student")));
}

TEST_F(LoadCommand, WhatTheServerRefusesAtOnceIsNotMeasured) {
  const CliResult result = Load({"--model", "nobody", "--rate", "10"});
  EXPECT_EQ(result.code, kExitServerError);
  EXPECT_THAT(result.err, HasSubstr("there is no model 'nobody'"));
  EXPECT_EQ(result.out, "");
}

TEST(Load, NobodyThereIsSaidKindly) {
  const CliResult result = RunCli({"load", "--server", "127.0.0.1:1", "--model", "student", "--rate", "10"});
  EXPECT_EQ(result.code, kExitUnreachable);
  EXPECT_THAT(result.err, AllOf(HasSubstr("127.0.0.1:1"), HasSubstr("./dev serve")));
}

TEST(Load, BadFlagsAreSaidKindly) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{}, "how much?"},
      {{"--rate", "0"}, "'0' is not a number above 0"},
      {{"--rate", "fast"}, "'fast' is not a number"},
      {{"--rate", "5", "--streams", "2"}, "--rate excludes --streams"},
      {{"--streams", "0"}, "--streams: '0' is not a number of streams"},
      {{"--streams", "1,,2"}, "--streams: '' is not"},
      {{"--steps", "10,0"}, "--steps: '0' is not a rate"},
      {{"--ramp", "10"}, "--ramp: '10' is not FROM:TO, as 10:80"},
      {{"--ramp", "0:10"}, "--ramp: '0' is not a rate"},
      {{"--rate", "5", "--duration", "0"}, "--duration: '0' is no time at all"},
      {{"--rate", "5", "--duration", "long"}, "--duration: 'long' is not a duration; 500ms"},
      {{"--rate", "5", "--warmup", "-1s"}, "--warmup: '-1s' is below 0"},
      {{"--rate", "5", "--deadline", "0s"}, "--deadline: '0s' is no time"},
      {{"--rate", "5", "--requests", "0"}, "'0' is not a number from 1 up"},
      {{"--rate", "5", "--slo", "p99"}, "--slo: 'p99': it names no limit"},
      {{"--rate", "5", "--search"}, "--search: it needs an --slo"},
      {{"--steps", "5,6", "--search", "--slo", "p99=1s"}, "--search: it needs a --rate"},
      {{"--rate", "5", "--model", "a=0"}, "--model: 'a=0': the weight"},
      {{"--rate", "5", "--model", "a", "--model", "a=2"}, "--model: 'a' is named twice"},
      {{"--rate", "5", "--arrivals", "never"}, "never"},
      {{"--rate", "5", "--stream", "--deadline", "1s"}, "--deadline is of unary calls"},
      {{"--rate", "5", "--lengths", "none"}, "--lengths: 'none' is no list of lengths"},
      {{"--rate", "5", "--texts", "/no/such/file"}, "/no/such/file"},
      {{"--rate", "5", "--json", "/no/such/folder/x.json"}, "/no/such/folder/x.json"},
  };
  for (const auto& [flags, words] : cases) {
    std::vector<std::string> arguments = {"load", "--server", "127.0.0.1:1"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const CliResult result = RunCli(arguments);
    EXPECT_EQ(result.code, kExitUsage) << words;
    EXPECT_THAT(result.err, HasSubstr(words));
    EXPECT_EQ(result.out, "");
  }
}

TEST(LoadView, ShowsHowARunStands) {
  const load::Plan plan{
      .models = {{.name = "student"}, {.name = "teacher"}},
      .phases = {{.rate = 10, .rate_to = 10, .warmup = absl::Seconds(2), .duration = absl::Seconds(10)},
                 {.rate = 20, .rate_to = 20, .duration = absl::Seconds(10)}}};
  load::Recorder recorder(plan);
  LoadView view(plan);
  EXPECT_EQ(view.Render(80), std::vector<std::string>{"starting"});
  recorder.BeginPhase(plan.phases[0], absl::ZeroDuration());
  for (int i = 0; i < 3; ++i) recorder.Sent(recorder.Issue(0, absl::ZeroDuration()), absl::ZeroDuration());
  recorder.Ended(recorder.Issue(0, absl::ZeroDuration()), {.target_tokens = 30}, absl::Milliseconds(250));
  recorder.Ended(recorder.Issue(0, absl::ZeroDuration()), {.status = absl::UnavailableError("")},
                 absl::Milliseconds(9));
  view.Update(recorder.Look(absl::Seconds(1)));
  const std::vector<std::string> lines = view.Render(200);
  ASSERT_EQ(lines.size(), 7);
  EXPECT_EQ(lines[0], "1 of 2, 10 texts/s, 1s of 12s, warming up; latencies in ms");
  EXPECT_EQ(lines[2], "student     3     1          1       1      1.0        30  250  250  250");
  EXPECT_EQ(lines[3], "teacher     0     0          0       0      0.0         0    -    -    -");
  EXPECT_EQ(lines[5], "failed: UNAVAILABLE 1");
  EXPECT_THAT(lines[6], HasSubstr("p99 250 to 250 ms"));
  for (const std::string& line : view.Render(20)) EXPECT_LE(line.size(), 20 + 60);
  EXPECT_EQ(view.Line(),
            "1 of 2, 10 texts/s, 1s of 12s, warming up: sent 3, done 1, in flight 1, failed 1 (UNAVAILABLE 1); now 1.0 "
            "texts/s, 30 tokens/s, p50 250.0 p95 250.0 p99 250.0 ms");
}

}  // namespace
}  // namespace petit::cli
