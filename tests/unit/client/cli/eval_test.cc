// petit eval, against a server that upper-cases.
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/cli/run_cli.h"
#include "tests/unit/client/fake_server.h"

namespace petit::cli {
namespace {

using client::FakeServer;
using ::testing::HasSubstr;
using ::testing::Not;

class EvalCommand : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(cache()); }
  void TearDown() override { std::filesystem::remove_all(cache()); }

  CliResult Eval(const FakeServer& server, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"eval",       "--server", server.address(), "--json",
                                          json_.path(), "--cache",  cache()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCli(arguments);
  }
  CliResult Eval(std::vector<std::string> more) { return Eval(server_, std::move(more)); }
  nlohmann::json Json() const { return nlohmann::json::parse(ReadFile(json_.path())); }
  std::string cache() const { return json_.path() + ".cache"; }

  FakeServer server_;
  TempFile json_;
};

TEST_F(EvalCommand, MeasuresEveryModel) {
  const TempFile set(
      "the cat sat on the mat\tTHE CAT SAT ON THE MAT\nlong texts go here now\tLONG TEXTS GO HERE NOW\n");
  const CliResult result = Eval({set.path(), "--from", "en", "--to", "fr"});
  EXPECT_EQ(result.code, kExitOk) << result.err;
  const nlohmann::json json = Json();
  EXPECT_EQ(json["schema"], "petit.results/1");
  EXPECT_EQ(json["sets"][0]["pairs"], 2);
  EXPECT_EQ(json["settings"]["concurrency"], 32);
  EXPECT_EQ(json["teacher"], "teacher");
  ASSERT_EQ(json["results"].size(), 2);
  const nlohmann::json& teacher = json["results"][0];
  EXPECT_EQ(teacher["model"], "teacher");
  EXPECT_NEAR(teacher["bleu"]["score"], 100, 1e-9);
  EXPECT_TRUE(teacher["bleu"]["p_value"].is_null());
  EXPECT_NEAR(teacher["chrf2"]["score"], 100, 1e-9);
  EXPECT_NEAR(teacher["rouge_l"]["score"], 100, 1e-9);
  EXPECT_NEAR(teacher["length_ratio"], 1, 1e-9);
  EXPECT_EQ(teacher["kl"]["nats"], 0);
  EXPECT_EQ(teacher["agreement"]["exact"], 1);
  EXPECT_EQ(teacher["target_tokens"], 8);
  EXPECT_EQ(teacher["truncated"], 1);
  EXPECT_EQ(json["models"][0]["bytes_in_memory"], 4000000);
  EXPECT_EQ(json["models"][0]["memory_ratio"], 1);
  const nlohmann::json& student = json["results"][1];
  EXPECT_EQ(json["models"][1]["precision"], "INT8");
  EXPECT_EQ(student["kl"]["nats"], 0.25);
  EXPECT_EQ(student["kl"]["tokens"], 11);
  EXPECT_GT(student["perplexity"], 1);
  EXPECT_EQ(student["agreement"]["exact"], 1) << "both upper-case";
  EXPECT_FALSE(student["bleu"]["p_value"].is_null());
  EXPECT_EQ(server_.last_score().reference_model(), "teacher");
  ASSERT_EQ(json["speeds"].size(), 2);
  EXPECT_EQ(json["speeds"][1]["passes"].size(), 1);
  EXPECT_GT(json["speeds"][1]["median"]["seconds"], 0);
  for (const char* part : {"2 pairs", "sha256", "BLEU", "chrF2", "ROUGE-L", "KL(teacher || model)", "TOKENS/S", "P95",
                           "4.0 MB", "while 32 were in flight", "tok:13a", "±"}) {
    EXPECT_THAT(result.out, HasSubstr(part));
  }
}

TEST_F(EvalCommand, FailedSentencesAreNamedAndCountAsEmpty) {
  const TempFile set("one two three four\tONE TWO THREE FOUR\nbad\tFIVE SIX SEVEN EIGHT\n\tNINE\n");
  const CliResult result = Eval({set.path(), "--model", "student"});
  EXPECT_EQ(result.code, kExitTextsFailed);
  EXPECT_THAT(result.err, HasSubstr("line 2: INVALID_ARGUMENT: text 'bad' is bad"));
  EXPECT_THAT(result.err, HasSubstr("line 3: INVALID_ARGUMENT: the source is blank"));
  const nlohmann::json model = Json()["results"][0];
  EXPECT_EQ(model["pairs"], 3);
  ASSERT_EQ(model["failures"].size(), 2);
  EXPECT_EQ(model["failures"][0]["line"], 2);
  EXPECT_NEAR(model["rouge_l"]["score"], 100.0 / 3, 1e-9);
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
  const std::string name = source.path().substr(source.path().rfind('/') + 1);
  EXPECT_EQ(ReadFile(directory + "/" + name + "/student_versions_1.txt"), "ONE\n\nTWO\n");
  std::filesystem::remove_all(directory);
  EXPECT_TRUE(Json()["results"][0]["kl"].is_null());
  EXPECT_EQ(Json()["models"][0]["precision"], "INT8");
}

TEST_F(EvalCommand, WhatIsKnownIsNotTranslatedAgain) {
  const TempFile set("one\tONE\ntwo\tTWO\n");
  EXPECT_EQ(Eval({set.path(), "--repeat", "0"}).code, kExitOk);
  const int texts = server_.texts;
  EXPECT_EQ(Eval({set.path(), "--repeat", "0"}).code, kExitOk);
  EXPECT_EQ(server_.texts, texts);
  EXPECT_EQ(Eval({set.path(), "--repeat", "0", "--beams", "2"}).code, kExitOk);
  EXPECT_EQ(server_.texts, 2 * texts) << "another decoding is another translation";
  EXPECT_EQ(Eval({set.path(), "--repeat", "0", "--fresh"}).code, kExitOk);
  EXPECT_EQ(server_.texts, 3 * texts);
}

TEST_F(EvalCommand, TimedPassesAreTakenAnewByEveryRun) {
  const TempFile set("one\tONE\ntwo\tTWO\n");
  EXPECT_EQ(Eval({set.path(), "--model", "student", "--repeat", "3"}).code, kExitOk);
  EXPECT_EQ(server_.texts, 6) << "the first pass is the one for quality";
  EXPECT_EQ(Json()["speeds"][0]["passes"].size(), 3);
  EXPECT_EQ(Eval({set.path(), "--model", "student", "--repeat", "3"}).code, kExitOk);
  EXPECT_EQ(server_.texts, 12);
}

TEST_F(EvalCommand, ModelsAtATimeGiveNoSpeeds) {
  const TempFile set("one\tONE\ntwo\tTWO\n");
  EXPECT_EQ(Eval({set.path(), "--all-at-once"}).code, kExitOk);
  EXPECT_TRUE(Json()["speeds"].empty());
  EXPECT_EQ(Json()["results"].size(), 2);
  EXPECT_EQ(Eval({set.path(), "--all-at-once", "--repeat", "2"}).code, kExitUsage);
}

TEST_F(EvalCommand, TakesNamedSets) {
  const TempFile first("one\tONE\ntwo\tTWO\nthree\tTHREE\n");
  const TempFile second("{\"source\": \"four\", \"target\": \"FOUR\"}\n");
  const std::string jsonl = second.path() + ".jsonl";
  std::filesystem::copy_file(second.path(), jsonl);
  const CliResult result = Eval({"--set", "name=tail,from=en,to=fr,skip=1,take=1,pairs=" + first.path(), "--set",
                                 "name=json,from=fr,to=en,out-of-domain,pairs=" + jsonl, "--model", "student"});
  EXPECT_EQ(result.code, kExitOk) << result.err;
  std::filesystem::remove(jsonl);
  const nlohmann::json json = Json();
  ASSERT_EQ(json["sets"].size(), 2);
  EXPECT_EQ(json["sets"][0]["pairs"], 1);
  EXPECT_EQ(json["sets"][0]["pairs_there"], 3);
  EXPECT_EQ(json["sets"][1]["out_of_domain"], true);
  EXPECT_EQ(json["sets"][1]["source_language"], "fr");
  ASSERT_EQ(json["results"].size(), 2);
  EXPECT_EQ(json["results"][1]["set"], "json");
  EXPECT_NEAR(json["results"][1]["rouge_l"]["score"], 100, 1e-9);
  EXPECT_THAT(Eval({"--set", "name=x,colour=red"}).err, HasSubstr("there is no 'colour'; there are name, pairs"));
  EXPECT_THAT(Eval({"--set", "pairs=x"}).err, HasSubstr("it needs name=NAME"));
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
  EXPECT_THAT(result.err, HasSubstr("teacher"));
  EXPECT_THAT(result.out, Not(HasSubstr("BLEU")));
}

}  // namespace
}  // namespace petit::cli
