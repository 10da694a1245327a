#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/cli/eval_model.h"
#include "client/cli/eval_set.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/cli/run_cli.h"
#include "tests/unit/client/fake_server.h"

namespace petit::cli {
namespace {

using client::FakeServer;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(InspectEvalSet, CountsPairsAndDigestsFiles) {
  const TempFile file("a\tA\nb\tB\nc\tC\n");
  const auto info = InspectEvalSet({.pairs = file.path(), .source = {}, .reference = {}, .limit = 2}, -1);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->pairs, 2);
  EXPECT_EQ(info->pairs_there, 3);
  ASSERT_EQ(info->files.size(), 1);
  EXPECT_EQ(info->files[0].sha256, "a58d656946facda1b12b5fe10ecec5bf4a509f7510da9beec17a42e6e5e501c9");
}

TEST(InspectEvalSet, NamesTheLineThatIsNoPair) {
  const auto error = [](const std::string& text) {
    const TempFile file(text);
    const absl::Status status = InspectEvalSet({.pairs = file.path(), .source = {}, .reference = {}}, -1).status();
    return std::string(status.message()).substr(std::min(status.message().size(), file.path().size()));
  };
  EXPECT_EQ(error("a\tA\nb\n"), ":2: the line has no tab; SOURCE<TAB>REFERENCE is wanted");
  EXPECT_EQ(error("a\tA\tx\n"), ":1: the line has more than one tab; SOURCE<TAB>REFERENCE is wanted");
  EXPECT_EQ(error("a\t\xFF\n"), ":1: byte 1 of the reference is not valid UTF-8");
  EXPECT_EQ(error(""), " holds no pairs");
}

TEST(InspectEvalSet, TwoFilesMustHaveEquallyManyLines) {
  const TempFile source("a\nb\n");
  const TempFile reference("A\n");
  const auto info = InspectEvalSet({.pairs = {}, .source = source.path(), .reference = reference.path()}, -1);
  EXPECT_EQ(info.status().message(),
            source.path() + ":2: has no counterpart: " + reference.path() + " ends a line before");
}

TEST(EvalSetReader, SourcesThatCannotBeTranslatedStayInTheSet) {
  const TempFile file("a\tA\n \tB\n\xFF\tC\n");
  auto reader = EvalSetReader::Open({.pairs = file.path(), .source = {}, .reference = {}}, -1);
  ASSERT_TRUE(reader.ok());
  EXPECT_TRUE((*reader->Next())->problem.ok());
  EXPECT_EQ((*reader->Next())->problem.message(), "the source is blank");
  EXPECT_THAT((*reader->Next())->problem.message(), HasSubstr("not valid UTF-8"));
  EXPECT_FALSE(reader->Next()->has_value());
}

TEST(Percentiles, TakesTheNearestRank) {
  std::vector<double> seconds;
  for (int i = 100; i >= 1; --i) seconds.push_back(i);
  const Latency latency = Percentiles(seconds);
  EXPECT_EQ(latency.p50_s, 50);
  EXPECT_EQ(latency.p95_s, 95);
  EXPECT_EQ(latency.p99_s, 99);
  EXPECT_EQ(Percentiles({7}).p99_s, 7);
  EXPECT_EQ(Percentiles({}).p50_s, 0);
}

class EvalCommand : public testing::Test {
 protected:
  CliResult Eval(std::vector<std::string> more) {
    std::vector<std::string> arguments = {"eval", "--server", server_.address(), "--json", json_.path()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCli(arguments);
  }
  nlohmann::json Json() { return nlohmann::json::parse(ReadFile(json_.path())); }

  FakeServer server_;
  TempFile json_;
};

TEST_F(EvalCommand, MeasuresEveryModel) {
  const TempFile set(
      "the cat sat on the mat\tTHE CAT SAT ON THE MAT\nlong texts go here now\tLONG TEXTS GO HERE NOW\n");
  const CliResult result = Eval({set.path()});
  EXPECT_EQ(result.code, kExitOk) << result.err;
  const nlohmann::json json = Json();
  EXPECT_EQ(json["set"]["pairs"], 2);
  EXPECT_EQ(json["concurrency"], 32);
  EXPECT_EQ(json["kl_reference"], "teacher");
  ASSERT_EQ(json["models"].size(), 2);
  const nlohmann::json& teacher = json["models"][0];
  EXPECT_EQ(teacher["model"], "teacher");
  EXPECT_NEAR(teacher["bleu"], 100, 1e-9);
  EXPECT_NEAR(teacher["chrf2"], 100, 1e-9);
  EXPECT_NEAR(teacher["rouge_l_f1"], 100, 1e-9);
  EXPECT_NEAR(teacher["length_ratio"], 1, 1e-9);
  EXPECT_EQ(teacher["kl_nats"], 0);
  EXPECT_EQ(teacher["target_tokens"], 8);
  EXPECT_EQ(teacher["cut_at_length_limit"], 1);
  EXPECT_EQ(teacher["bytes_in_memory"], 4000000);
  const nlohmann::json& student = json["models"][1];
  EXPECT_EQ(student["precision"], "INT8");
  EXPECT_EQ(student["kl_nats"], 0.25);
  EXPECT_EQ(student["kl_tokens"], 11);
  EXPECT_EQ(server_.last_score().reference_model(), "teacher");
  for (const char* part : {"2 pairs", "sha256", "BLEU", "chrF2", "ROUGE-L", "KL(teacher || model)", "TOKENS/S", "P95",
                           "4.0 MB", "while 32 were in flight", "tok:13a"}) {
    EXPECT_THAT(result.out, HasSubstr(part));
  }
}

TEST_F(EvalCommand, FailedSentencesAreNamedAndCountAsEmpty) {
  const TempFile set("one two three four\tONE TWO THREE FOUR\nbad\tFIVE SIX SEVEN EIGHT\n\tNINE\n");
  const CliResult result = Eval({set.path(), "--model", "student"});
  EXPECT_EQ(result.code, kExitTextsFailed);
  EXPECT_THAT(result.err, HasSubstr("petit: student: line 2: INVALID_ARGUMENT: text 'bad' is bad"));
  EXPECT_THAT(result.err, HasSubstr("petit: student: line 3: INVALID_ARGUMENT: the source is blank"));
  const nlohmann::json model = Json()["models"][0];
  EXPECT_EQ(model["pairs"], 3);
  ASSERT_EQ(model["failures"].size(), 2);
  EXPECT_EQ(model["failures"][0]["line"], 2);
  EXPECT_NEAR(model["rouge_l_f1"], 100.0 / 3, 1e-9);
  EXPECT_NEAR(model["length_ratio"], 4.0 / 9, 1e-9);
}

TEST_F(EvalCommand, KeepsHypothesesLineByLine) {
  const TempFile source("one\nbad\ntwo\n");
  const TempFile reference("ONE\nX\nTWO\n");
  const std::string directory = json_.path() + ".d";
  EXPECT_EQ(Eval({"--source", source.path(), "--reference", reference.path(), "--no-kl", "--model",
                  "student/versions/1", "--save-hypotheses", directory})
                .code,
            kExitTextsFailed);
  EXPECT_EQ(ReadFile(directory + "/student_versions_1.txt"), "ONE\n\nTWO\n");
  std::filesystem::remove_all(directory);
  EXPECT_FALSE(Json()["models"][0].contains("kl_nats"));
  EXPECT_EQ(Json()["models"][0]["precision"], "INT8");
}

TEST_F(EvalCommand, RefusesASetThatIsNone) {
  const TempFile set("no tab here\n");
  const CliResult result = Eval({set.path()});
  EXPECT_EQ(result.code, kExitUsage);
  EXPECT_THAT(result.err, HasSubstr(set.path() + ":1: the line has no tab"));
  EXPECT_EQ(server_.streams, 0);
  EXPECT_EQ(Eval({}).code, kExitUsage);
  EXPECT_EQ(Eval({"--source", set.path()}).code, kExitUsage);
  EXPECT_EQ(Eval({"/no/such/file"}).code, kExitUsage);
}

TEST_F(EvalCommand, ReportsAModelThatIsNotThere) {
  const TempFile set("one\tONE\n");
  const CliResult result = Eval({set.path(), "--model", "nobody"});
  EXPECT_EQ(result.code, kExitServerError);
  EXPECT_THAT(result.err, HasSubstr("NOT_FOUND"));
  EXPECT_THAT(result.out, Not(HasSubstr("BLEU")));
}

}  // namespace
}  // namespace petit::cli
