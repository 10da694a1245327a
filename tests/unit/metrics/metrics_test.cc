#include "server/metrics/metrics.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/metrics/exposition.h"

namespace petit::serving {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Optional;

Exposition Read(const Metrics& metrics) { return ParseExposition(metrics.Text()); }

VersionStatus Loaded(std::int64_t version, VersionState state = VersionState::kReady) {
  VersionStatus status;
  status.version = version;
  status.state = state;
  status.info.executor = "TORCH";
  status.info.device = "cuda:0";
  status.info.precision = "BF16";
  status.info.weight_bytes = 1000;
  return status;
}

std::string InfoSeries(const std::string& version) {
  return absl::StrCat("petit_model_info{device=\"cuda:0\",executor=\"TORCH\",model=\"m\",precision=\"BF16\",version=\"",
                      version, "\"}");
}

TEST(MetricsTest, RefusedCallersAreCountedByReasonFromZero) {
  Metrics metrics({"m"});
  EXPECT_THAT(Value(Read(metrics), R"(petit_denied_total{reason="no_credentials"})"), Optional(0.0));
  EXPECT_THAT(Value(Read(metrics), R"(petit_denied_total{reason="max_texts_in_flight"})"), Optional(0.0));
  metrics.CountDenied("bad_token");
  metrics.CountDenied("bad_token");
  EXPECT_THAT(Value(Read(metrics), R"(petit_denied_total{reason="bad_token"})"), Optional(2.0));
  EXPECT_EQ(CountSeries(Read(metrics), "petit_denied_total"), 8);
}

TEST(MetricsTest, SeriesOfConfiguredModelsExistFromTheStartAtZero) {
  const Metrics metrics({"teacher", "student"});
  const Exposition text = Read(metrics);
  for (const std::string& model : {std::string("teacher"), std::string("student")}) {
    const std::string label = absl::StrCat("{model=\"", model, "\"}");
    for (const std::string name :
         {"petit_queue_seconds_count", "petit_queue_seconds_sum", "petit_first_token_seconds_count",
          "petit_step_seconds_count", "petit_step_sequences_count", "petit_source_tokens_total",
          "petit_target_tokens_total", "petit_queue_length", "petit_active_sequences", "petit_model_ready",
          "petit_model_bytes"}) {
      EXPECT_THAT(Value(text, name + label), Optional(0.0)) << name << label;
    }
    EXPECT_THAT(Value(text, absl::StrCat("petit_rejected_total{model=\"", model, "\",reason=\"queue_length\"}")),
                Optional(0.0));
    EXPECT_THAT(
        Value(text, absl::StrCat("petit_requests_total{code=\"OK\",method=\"Translate\",model=\"", model, "\"}")),
        Optional(0.0));
  }
  EXPECT_EQ(CountSeries(text, "petit_build_info{"), 1);
  EXPECT_EQ(CountSeries(text, "petit_model_info{"), 0);
}

TEST(MetricsTest, BucketsSpanWhatTheyMeasure) {
  const Metrics metrics({"m"});
  const Exposition text = Read(metrics);
  for (const std::string name : {"petit_queue_seconds", "petit_first_token_seconds"}) {
    EXPECT_TRUE(Value(text, name + "_bucket{model=\"m\",le=\"0.001\"}").has_value()) << metrics.Text();
    EXPECT_TRUE(Value(text, name + "_bucket{model=\"m\",le=\"60\"}").has_value());
  }
  EXPECT_TRUE(Value(text, "petit_step_seconds_bucket{model=\"m\",le=\"0.0001\"}").has_value());
  EXPECT_TRUE(Value(text, "petit_step_seconds_bucket{model=\"m\",le=\"1\"}").has_value());
  EXPECT_TRUE(Value(text, "petit_request_seconds_bucket{method=\"Score\",model=\"m\",le=\"60\"}").has_value());
}

TEST(MetricsTest, EveryCallIsCountedAndTimedFailuresToo) {
  Metrics metrics({"m"});
  metrics.CountRequest("Translate", "m", "OK", absl::Milliseconds(40));
  metrics.CountRequest("Translate", "m", "OK", absl::Milliseconds(2));
  metrics.CountRequest("Translate", "m", "RESOURCE_EXHAUSTED", absl::Seconds(3));
  const Exposition text = Read(metrics);
  EXPECT_THAT(Value(text, R"(petit_requests_total{code="OK",method="Translate",model="m"})"), Optional(2.0));
  EXPECT_THAT(Value(text, R"(petit_requests_total{code="RESOURCE_EXHAUSTED",method="Translate",model="m"})"),
              Optional(1.0));
  EXPECT_THAT(Value(text, R"(petit_request_seconds_count{method="Translate",model="m"})"), Optional(3.0));
  EXPECT_NEAR(*Value(text, R"(petit_request_seconds_sum{method="Translate",model="m"})"), 3.042, 1e-9);
  EXPECT_THAT(Value(text, R"(petit_request_seconds_bucket{method="Translate",model="m",le="0.0025"})"), Optional(1.0));
}

TEST(MetricsTest, WhatIsNotConfiguredIsLabelledUnknown) {
  Metrics metrics({"m"});
  const int before = CountSeries(Read(metrics), "petit_requests_total");
  for (int i = 0; i < 100; ++i) {
    metrics.CountRequest("Translate", absl::StrCat("evil\"\n", i), "NOT_FOUND", absl::ZeroDuration());
    metrics.CountRequest("ListModels", "", absl::StrCat("code", i), absl::ZeroDuration());
  }
  const Exposition text = Read(metrics);
  EXPECT_THAT(Value(text, R"(petit_requests_total{code="NOT_FOUND",method="Translate",model="unknown"})"),
              Optional(100.0));
  EXPECT_THAT(Value(text, R"(petit_requests_total{code="UNKNOWN",method="ListModels",model="unknown"})"),
              Optional(100.0));
  EXPECT_EQ(CountSeries(text, "petit_requests_total"), before + 2);
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("evil")));
}

TEST(MetricsTest, MethodsAreBounded) {
  Metrics metrics({});
  for (int i = 0; i < 1000; ++i) metrics.CountRequest(absl::StrCat("M", i), "", "OK", absl::ZeroDuration());
  EXPECT_LE(CountSeries(Read(metrics), "petit_requests_total"), 65);
}

TEST(MetricsTest, AReplicaReportsIntoItsModelsSeries) {
  Metrics metrics({"m", "other"});
  const auto observer = metrics.observer("m");
  observer->OnQueueLength(4);
  observer->OnActive(3);
  observer->OnRejected("queue_length");
  observer->OnRejected("something new");
  observer->OnAdmitted(absl::Milliseconds(20), 17);
  observer->OnStep(absl::Microseconds(300), 3, 6);
  observer->OnHeld(5);
  observer->OnHeld(2);
  observer->OnFirstToken(absl::Milliseconds(30));
  observer->OnFinished(absl::OkStatus(), 9);
  observer->OnFinished(absl::CancelledError(), 0);
  const Exposition text = Read(metrics);
  EXPECT_THAT(Value(text, R"(petit_queue_length{model="m"})"), Optional(4.0));
  EXPECT_THAT(Value(text, R"(petit_active_sequences{model="m"})"), Optional(3.0));
  EXPECT_THAT(Value(text, R"(petit_rejected_total{model="m",reason="queue_length"})"), Optional(1.0));
  EXPECT_THAT(Value(text, R"(petit_rejected_total{model="m",reason="unknown"})"), Optional(1.0));
  EXPECT_THAT(Value(text, R"(petit_queue_seconds_sum{model="m"})"), Optional(0.02));
  EXPECT_THAT(Value(text, R"(petit_source_tokens_total{model="m"})"), Optional(17.0));
  EXPECT_THAT(Value(text, R"(petit_step_seconds_bucket{model="m",le="0.0005"})"), Optional(1.0));
  EXPECT_THAT(Value(text, R"(petit_step_sequences_sum{model="m"})"), Optional(3.0));
  EXPECT_THAT(Value(text, R"(petit_held_sequences_total{model="m"})"), Optional(7.0));
  EXPECT_THAT(Value(text, R"(petit_first_token_seconds_sum{model="m"})"), Optional(0.03));
  EXPECT_THAT(Value(text, R"(petit_target_tokens_total{model="m"})"), Optional(9.0));
  EXPECT_THAT(Value(text, R"(petit_queue_length{model="other"})"), Optional(0.0));
}

TEST(MetricsTest, TwoVersionsOfAModelAddUpAndTheLastLeavesZero) {
  Metrics metrics({"m"});
  auto old_version = metrics.observer("m");
  auto new_version = metrics.observer("m");
  old_version->OnQueueLength(5);
  new_version->OnQueueLength(2);
  old_version->OnQueueLength(1);
  EXPECT_THAT(Value(Read(metrics), R"(petit_queue_length{model="m"})"), Optional(3.0));
  old_version.reset();
  EXPECT_THAT(Value(Read(metrics), R"(petit_queue_length{model="m"})"), Optional(2.0));
  new_version.reset();
  EXPECT_THAT(Value(Read(metrics), R"(petit_queue_length{model="m"})"), Optional(0.0));
}

TEST(MetricsTest, AnObserverMayOutliveTheMetrics) {
  auto metrics = std::make_unique<Metrics>(std::vector<std::string>{"m"});
  const auto observer = metrics->observer("m");
  const auto unknown = metrics->observer("no such model");
  metrics.reset();
  observer->OnQueueLength(3);
  unknown->OnFinished(absl::OkStatus(), 3);
}

TEST(MetricsTest, ModelSeriesFollowItsStatus) {
  Metrics metrics({"m"});
  ModelStatus status;
  status.name = "m";
  status.state = VersionState::kLoading;
  status.versions = {Loaded(1, VersionState::kUnloaded), Loaded(2, VersionState::kLoading)};
  metrics.OnModelStatus(status);
  EXPECT_THAT(Value(Read(metrics), R"(petit_model_ready{model="m"})"), Optional(0.0));
  EXPECT_EQ(CountSeries(Read(metrics), "petit_model_info{"), 0);

  status.served_version = 2;
  status.versions = {Loaded(1), Loaded(2)};
  metrics.OnModelStatus(status);
  EXPECT_THAT(Value(Read(metrics), R"(petit_model_ready{model="m"})"), Optional(1.0));
  EXPECT_THAT(Value(Read(metrics), R"(petit_model_bytes{model="m"})"), Optional(2000.0));
  EXPECT_THAT(Value(Read(metrics), InfoSeries("1")), Optional(1.0));
  EXPECT_THAT(Value(Read(metrics), InfoSeries("2")), Optional(1.0));

  // While it is unloaded it still takes memory; afterwards its series is gone.
  status.versions = {Loaded(1, VersionState::kUnloading), Loaded(2)};
  metrics.OnModelStatus(status);
  EXPECT_THAT(Value(Read(metrics), R"(petit_model_bytes{model="m"})"), Optional(2000.0));
  status.versions = {Loaded(1, VersionState::kUnloaded), Loaded(2)};
  metrics.OnModelStatus(status);
  EXPECT_THAT(Value(Read(metrics), R"(petit_model_bytes{model="m"})"), Optional(1000.0));
  EXPECT_FALSE(Value(Read(metrics), InfoSeries("1")).has_value());

  status.served_version = 0;
  status.versions = {Loaded(2, VersionState::kUnloaded)};
  metrics.OnModelStatus(status);
  EXPECT_THAT(Value(Read(metrics), R"(petit_model_ready{model="m"})"), Optional(0.0));
  EXPECT_THAT(Value(Read(metrics), R"(petit_model_bytes{model="m"})"), Optional(0.0));
  EXPECT_EQ(CountSeries(Read(metrics), "petit_model_info{"), 0);

  status.name = "not configured";
  metrics.OnModelStatus(status);
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("not configured")));
}

TEST(MetricsTest, ThreadsMeetWithoutLoss) {
  Metrics metrics({"m"});
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&metrics] {
      const auto observer = metrics.observer("m");
      for (int k = 0; k < 500; ++k) {
        metrics.CountRequest("Translate", k % 2 == 0 ? "m" : "x", "OK", absl::Milliseconds(1));
        observer->OnQueueLength(k);
        observer->OnFinished(absl::OkStatus(), 2);
        ModelStatus status;
        status.name = "m";
        status.versions = {Loaded(k % 3 + 1)};
        if (k % 50 == 0) metrics.OnModelStatus(status);
        if (k % 100 == 0) {
          EXPECT_THAT(metrics.Text(), HasSubstr("petit_queue_length"));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const Exposition text = Read(metrics);
  EXPECT_THAT(Value(text, R"(petit_requests_total{code="OK",method="Translate",model="m"})"), Optional(750.0));
  EXPECT_THAT(Value(text, R"(petit_requests_total{code="OK",method="Translate",model="unknown"})"), Optional(750.0));
  EXPECT_THAT(Value(text, R"(petit_target_tokens_total{model="m"})"), Optional(3000.0));
  EXPECT_THAT(Value(text, R"(petit_queue_length{model="m"})"), Optional(0.0));
  EXPECT_EQ(CountSeries(text, "petit_model_info{"), 1);
}

}  // namespace
}  // namespace petit::serving
