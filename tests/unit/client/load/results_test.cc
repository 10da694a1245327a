// A whole run on a clock of its own, and its documents.
#include "client/load/results.h"

#include <nlohmann/json.hpp>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/load/fakes.h"

namespace petit::load {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kMillisecond = absl::Milliseconds(1);
constexpr char kEvil[] = "</script><script>alert(1)</script>\"'&<!--";

Report RunPlan(Plan plan, FakeSender::Script script) {
  if (plan.models.empty()) plan.models = {{.name = "student"}};
  Report report{.plan = std::move(plan)};
  for (const ModelShare& model : report.plan.models) report.models.push_back({.share = model, .version = 3});
  FakeClock clock;
  FakeSender sender(clock, std::move(script));
  Recorder recorder(report.plan);
  Corpus corpus = *Corpus::Synthetic("3", 1);
  Run(corpus, sender, clock, recorder, {.stopped = [] { return false; }}, report);
  return report;
}

Phase Open(double rate) {
  return {.rate = rate, .rate_to = rate, .warmup = absl::Seconds(1), .duration = absl::Seconds(10)};
}

// Answers in 50 ms up to 40 texts in flight at a time; else the queue is full.
FakeSender::Script Server() {
  return [](std::size_t number, std::size_t) {
    return FakeSender::Answer{
        .after = 50 * kMillisecond,
        .status = number % 10 == 9 ? absl::ResourceExhaustedError("the queue is full") : absl::OkStatus()};
  };
}

TEST(Results, JsonHoldsEveryFigure) {
  Plan plan{.phases = {Open(10), Open(20)}, .arrivals = Arrivals::kConstant};
  ASSERT_TRUE(AddTerms("p50=60ms,error-rate=5%", plan.objective).ok());
  Report report = RunPlan(plan, Server());
  report.server = client::ServerInfo{.build = "0.1.0+x", .cpu = "Abacus", .logical_cpus = 8};
  const nlohmann::json json = nlohmann::json::parse(FormatJson(report));
  EXPECT_EQ(json["schema"], "petit.load/1");
  EXPECT_EQ(json["hardware"]["cpu"], "Abacus");
  EXPECT_EQ(json["models"][0]["version"], 3);
  EXPECT_EQ(json["settings"]["objective"], (nlohmann::json{"p50=60ms", "error-rate=5%"}));
  EXPECT_EQ(json["search"], nullptr);
  ASSERT_EQ(json["phases"].size(), 2);
  const nlohmann::json& phase = json["phases"][1];
  EXPECT_EQ(phase["rate"], 20);
  EXPECT_EQ(phase["held"], false);
  EXPECT_EQ(phase["verdicts"][0]["holds"], true);
  EXPECT_EQ(phase["verdicts"][1]["term"], "error-rate=5%");
  EXPECT_EQ(phase["verdicts"][1]["holds"], false);
  ASSERT_EQ(phase["figures"].size(), 2);
  EXPECT_EQ(phase["figures"][0]["model"], nullptr);
  const nlohmann::json& figures = phase["figures"][1];
  EXPECT_EQ(figures["model"], "student");
  EXPECT_EQ(figures["sent"], 200);
  EXPECT_EQ(figures["answered"], 180);
  EXPECT_EQ(figures["failed"], 20);
  EXPECT_EQ(figures["errors"][0]["code"], "RESOURCE_EXHAUSTED");
  EXPECT_EQ(figures["errors"][0]["message"], "the queue is full");
  EXPECT_EQ(figures["goodput"], 18);
  EXPECT_NEAR(figures["texts_per_second"], 18, 0.2);
  EXPECT_NEAR(figures["latency"]["p99"], 0.05, 0.05 / 256);
  EXPECT_EQ(figures["lag"]["max"], 0);
  EXPECT_EQ(figures["queue"]["p50"], 0.001);
  EXPECT_EQ(figures["first_token"]["p50"], 0.003);
  std::int64_t sent = 0;
  for (const nlohmann::json& point : json["series"]["models"][0]["points"]) sent += point["sent"].get<std::int64_t>();
  EXPECT_EQ(sent, 330) << "warm-ups included";
}

TEST(Results, WhatWasNotMeasuredIsNull) {
  const nlohmann::json json =
      nlohmann::json::parse(FormatJson(RunPlan({.phases = {Open(1)}}, [](std::size_t, std::size_t) {
        return FakeSender::Answer{.status = absl::UnavailableError("gone")};
      })));
  EXPECT_EQ(json["hardware"], nullptr);
  EXPECT_EQ(json["phases"][0]["held"], nullptr);
  EXPECT_EQ(json["phases"][0]["figures"][0]["latency"], nullptr);
  EXPECT_EQ(json["phases"][0]["figures"][0]["answered"], 0);
}

TEST(Results, ASearchFindsTheHighestRateThatHolds) {
  Plan plan{.phases = {Open(10)}, .search = true, .arrivals = Arrivals::kConstant};
  ASSERT_TRUE(AddTerms("p90=100ms", plan.objective).ok());
  plan.models = {{.name = "student"}};
  Report report{.plan = plan};
  FakeClock clock;
  // One text after the other, 10 ms each: 100 a second, and no more.
  absl::Duration free_at;
  FakeSender sender(clock, [&](std::size_t, std::size_t) {
    free_at = std::max(free_at, clock.Now()) + 10 * kMillisecond;
    return FakeSender::Answer{.after = free_at - clock.Now()};
  });
  Recorder recorder(report.plan);
  Corpus corpus = *Corpus::Synthetic("3", 1);
  int trials = 0;
  load::Run(corpus, sender, clock, recorder,
            {.stopped = [] { return false; },
             .on_trial =
                 [&](const PhaseResult& trial) {
                   ++trials;
                   EXPECT_EQ(sender.in_flight, 0) << "a trial begins with an empty server";
                   EXPECT_EQ(trial.Holds(), trial.figures.phase.rate <= 101) << trial.figures.phase.rate;
                 }},
            report);
  ASSERT_TRUE(report.search);
  EXPECT_GT(*report.search->best, 95);
  EXPECT_LE(*report.search->best, 101);
  EXPECT_EQ(report.phases.size(), trials);
  EXPECT_EQ(nlohmann::json::parse(FormatJson(report))["search"]["best"], *report.search->best);
  EXPECT_THAT(FormatHtml(report), HasSubstr("The highest rate that held"));
}

TEST(Results, HtmlHasTheChartsWithTheirNumbersAndNothingBreaksOut) {
  Plan plan{.models = {{.name = std::string("a") + kEvil}, {.name = "b"}}, .phases = {Open(10), Open(20)}};
  ASSERT_TRUE(AddTerms("p50=60ms", plan.objective).ok());
  Report report = RunPlan(plan, [](std::size_t number, std::size_t) {
    return FakeSender::Answer{.status = number % 5 == 0 ? absl::UnavailableError(kEvil) : absl::OkStatus()};
  });
  report.command = report.texts = report.method = report.languages = report.address = kEvil;
  report.server = client::ServerInfo{.build = kEvil, .cpu = kEvil, .os = kEvil};
  const std::string html = FormatHtml(report);
  EXPECT_THAT(html, Not(HasSubstr("<script>alert")));
  for (const char* id :
       {"latency-0", "latency-1", "throughput", "errors", "distribution", "rate-latency", "rate-goodput"}) {
    EXPECT_THAT(html, HasSubstr("<div class=\"chart\" id=\"" + std::string(id) + "\"")) << id;
  }
  EXPECT_THAT(html, HasSubstr("Made by petit load"));
  EXPECT_THAT(html, HasSubstr("UNAVAILABLE"));
  const std::string begin = "<script type=\"application/json\" id=\"charts\">";
  const std::size_t at = html.find(begin) + begin.size();
  const nlohmann::json charts = nlohmann::json::parse(html.substr(at, html.find("</script>", at) - at));
  EXPECT_EQ(charts.size(), 7);
}

TEST(Results, AGeneratorThatLagsIsNamed) {
  const Report quick = RunPlan({.phases = {Open(10)}}, Server());
  EXPECT_EQ(LagRemark(quick), "");
  const Report slow = RunPlan({.phases = {Open(10)}}, [](std::size_t, std::size_t) {
    return FakeSender::Answer{.stall = absl::Milliseconds(300)};
  });
  EXPECT_THAT(LagRemark(slow), HasSubstr("generator lag"));
}

}  // namespace
}  // namespace petit::load
