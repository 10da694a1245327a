// Reading "petit.results/1".
#include "client/report/results.h"

#include <nlohmann/json.hpp>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/report/sample.h"

namespace petit::report {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

// The sample with `value` at a JSON pointer.
std::string With(const std::string& pointer, const json& value) {
  json document = json::parse(SampleJson());
  document[json::json_pointer(pointer)] = value;
  return document.dump();
}

std::string ErrorOf(const std::string& text) {
  const absl::StatusOr<Results> results = ParseResults(text);
  EXPECT_FALSE(results.ok());
  EXPECT_EQ(results.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(results.status().message());
}

TEST(ParseResults, ReadsEveryPart) {
  const Results results = Sample();
  EXPECT_EQ(results.title, "Distillation against quantization");
  EXPECT_EQ(results.hardware.logical_cpus, 2);
  EXPECT_EQ(results.settings.confidence, 0.95);
  ASSERT_EQ(results.sets.size(), 3U);
  EXPECT_TRUE(results.sets[2].out_of_domain);
  ASSERT_EQ(results.models.size(), 6U);
  EXPECT_EQ(results.models[1].role, Role::kQuantized);
  EXPECT_EQ(results.models[4].alpha, 0.5);
  ASSERT_EQ(results.results.size(), 18U);
  EXPECT_EQ(results.results[0].bleu.score, 29.42);
  EXPECT_EQ(results.results[0].agreement, std::nullopt);
  EXPECT_EQ(results.results[1].kl, std::nullopt);
  EXPECT_EQ(results.results[17].failures.size(), 2U);
  ASSERT_EQ(results.speeds.size(), 12U);
  EXPECT_EQ(results.speeds[0].passes.size(), 3U);
  EXPECT_EQ(results.speeds[0].latency.edges.size(), results.speeds[0].latency.counts.size() + 1);
  ASSERT_EQ(results.jobs.size(), 1U);
  EXPECT_EQ(results.jobs[0].arms[3].model, "");
  EXPECT_EQ(results.jobs[0].curves[0].kl, std::nullopt);  // of alpha 0
  EXPECT_EQ(results.examples.size(), 10U);
  EXPECT_EQ(results.problems.size(), 1U);
}

TEST(ParseResults, IgnoresFieldsThatItDoesNotKnow) { EXPECT_TRUE(ParseResults(With("/models/0/colour", "red")).ok()); }

TEST(ParseResults, TakesNullsAndMissingFiguresAsNotMeasured) {
  const std::string nothing = R"({"schema": "petit.results/1", "sets": [{"name": "s"}], "models": [{"name": "m"}],
      "results": [{"model": "m", "set": "s", "bleu": {"score": null, "p_value": null}, "kl": {"nats": null}}],
      "teacher": null, "baseline": null, "jobs": null})";
  const absl::StatusOr<Results> results = ParseResults(nothing);
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ(results->results[0].bleu.score, std::nullopt);
  EXPECT_EQ(results->results[0].kl, std::nullopt);
  EXPECT_EQ(results->teacher, "");
  EXPECT_EQ(results->main_set, "s");
  EXPECT_EQ(results->models[0].label, "m");
}

TEST(ParseResults, TellsModelsOfOneLabelApart) {
  json document = json::parse(SampleJson());
  document["models"][3]["label"] = "Distilled";
  document["models"][4]["label"] = "Distilled";
  const absl::StatusOr<Results> results = ParseResults(document.dump());
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ(results->models[3].label, "Distilled (alpha-0.25)");
  EXPECT_EQ(results->models[4].label, "Distilled (alpha-0.5)");
}

TEST(ParseResults, SaysWhereADocumentIsWrongAndWhatIsWanted) {
  EXPECT_THAT(ErrorOf(With("/schema", "petit.results/2")),
              AllOf(HasSubstr("$.schema"), HasSubstr("petit.results/1"), HasSubstr("petit.results/2")));
  EXPECT_EQ(ErrorOf(With("/models/2/role", "tutor")),
            "$.models[2].role: want teacher, student, distilled, quantized or other, not 'tutor'");
  EXPECT_EQ(ErrorOf(With("/results/3/bleu/score", "high")),
            "$.results[3].bleu.score: want a number or null, not string");
  EXPECT_EQ(ErrorOf(With("/results/3/bleu/p_value", 1.5)), "$.results[3].bleu.p_value: want a number between 0 and 1");
  EXPECT_EQ(ErrorOf(With("/results/1/model", "nobody")), "$.results[1].model: 'nobody' is not among models");
  EXPECT_EQ(ErrorOf(With("/results/1/set", "fr-ko")), "$.results[1].set: 'fr-ko' is not among sets");
  EXPECT_EQ(ErrorOf(With("/teacher", "nobody")), "$.teacher: 'nobody' is not among models");
  EXPECT_EQ(ErrorOf(With("/models/1/bytes_in_memory", 1.5)),
            "$.models[1].bytes_in_memory: want an integer or null, not number");
  EXPECT_EQ(ErrorOf(With("/models/1/parameters", 18446744073709551615ULL)),
            "$.models[1].parameters: want an integer of 64 bits or null, not number");
  EXPECT_EQ(ErrorOf(With("/models/1/name", "teacher")), "$.models[1].name: want a name of its own");
  EXPECT_EQ(ErrorOf(With("/results/1/set", "en-fr")), "$.results[1]: want one result for a model and a set");
  EXPECT_EQ(ErrorOf(With("/jobs/0/curves/2/step", -1)),
            "$.jobs[0].curves[2].step: want an integer that is not negative");
  EXPECT_EQ(ErrorOf(With("/speeds/0/latency_histogram/counts", {1, 2})),
            "$.speeds[0].latency_histogram.counts: want one less than edges, which are 26, not 2");
  EXPECT_EQ(ErrorOf(With("/speeds/0/latency_histogram/edges/0", 0)),
            "$.speeds[0].latency_histogram.edges: want rising numbers above 0");
  EXPECT_EQ(ErrorOf(With("/speeds/0/latency_histogram/counts/1", "x")),
            "$.speeds[0].latency_histogram.counts[1]: want a number, not string");
  EXPECT_EQ(ErrorOf(With("/models", {{"name", "m"}})), "$.models: want an array, not object");
  EXPECT_EQ(ErrorOf(With("/models/0", 7)), "$.models[0]: want an object, not number");
  EXPECT_EQ(ErrorOf(With("/settings/confidence", 95)),
            "$.settings.confidence: want a number between 0 and 1, both excluded");
  EXPECT_EQ(ErrorOf(With("/problems/0", 7)), "$.problems[0]: want a string, not number");
  EXPECT_EQ(ErrorOf(With("/random_weights", "yes")), "$.random_weights: want true or false, not string");
}

TEST(ParseResults, WantsTheListsThatTieADocumentTogether) {
  for (const char* list : {"sets", "models", "results"}) {
    EXPECT_EQ(ErrorOf(With(std::string("/") + list, nullptr)), std::string("$.") + list + ": want an array of objects");
  }
}

TEST(ParseResults, RefusesWhatIsNotJson) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("not JSON"));
  EXPECT_THAT(ErrorOf("{\"schema\": "), HasSubstr("not JSON"));
  EXPECT_THAT(ErrorOf("{\"schema\": 1e999}"), HasSubstr("not JSON"));
  EXPECT_THAT(ErrorOf("\"\xFF\""), HasSubstr("not JSON"));
  EXPECT_EQ(ErrorOf("[]"), "$: want an object, not array");
}

}  // namespace
}  // namespace petit::report
