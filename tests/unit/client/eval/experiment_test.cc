// An experiment from its file to its folder.
#include "client/eval/experiment.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/fake_jobs.h"
#include "tests/unit/client/fake_server.h"

namespace petit::eval {
namespace {

using client::FakeJobServer;
using client::FakeServer;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string TextOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class ExperimentTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_ + "/data");
    std::ofstream(directory_ + "/data/set.tsv") << "one two three four\tONE TWO THREE FOUR\nfive six\tFIVE SIX\n";
    // The job begins and ends as soon as it is there.
    surroundings_.note = [this](const std::string& line) {
      if (line != "distill is jobs/j1") return;
      petit::v1::Job job;
      job.set_name("jobs/j1");
      *job.mutable_spec() = jobs_.last_create().spec();
      for (const char* arm : {"alpha-0.25", "alpha-0.5"}) job.add_students()->set_arm(arm);
      job.mutable_students(0)->set_best(true);
      job.set_state(petit::v1::JOB_STATE_RUNNING);
      jobs_.SetJob(job);
      petit::v1::JobEvent event;
      for (int step : {10, 20}) {
        petit::v1::Progress& progress = *event.mutable_progress();
        progress.Clear();
        progress.set_step(step);
        progress.set_total_steps(20);
        petit::v1::ArmProgress& arm = *progress.add_arms();
        arm.set_arm("alpha-0.25");
        arm.set_cross_entropy(3.5);
        arm.set_kl(1.25);
        jobs_.AddEvent("jobs/j1", event);
      }
      petit::v1::DevScore& score = *event.mutable_dev_score();
      score.set_arm("alpha-0.25");
      score.set_set("dev");
      score.set_step(20);
      score.set_bleu(12.5);
      jobs_.AddEvent("jobs/j1", event);
      jobs_.AddState("jobs/j1", final_state_, final_state_ == petit::v1::JOB_STATE_FAILED ? "out of memory" : "");
    };
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string Write(const std::string& text) const {
    const std::string path = directory_ + "/experiment.textproto";
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  absl::StatusOr<std::string> Run(const std::string& text) {
    const absl::StatusOr<ExperimentPlan> plan = ReadExperiment(Write(text), models_.address());
    if (!plan.ok()) return plan.status();
    const Connections connections{
        .models = [](const std::string& server) { return client::Client::Create({.server = server}); },
        .jobs = [](const std::string& server) { return client::JobClient::Create({.server = server}); }};
    return RunExperiment(*plan, {.directory = out(), .command = "petit experiment run"}, connections, surroundings_);
  }

  std::string Experiment() const {
    return absl::StrCat(R"(name: "small"
distillations {
  name: "distill" server: ")",
                        jobs_.address(), R"("
  spec { arms { name: "alpha-0.25" alpha: 0.25 } arms { name: "alpha-0.5" alpha: 0.5 } }
  publish { arm: "alpha-0.25" model: "student" }
}
models { name: "teacher" role: TEACHER }
models { name: "student" label: "Pupil" role: DISTILLED alpha: 0.25 }
sets { name: "en-fr" pairs: "data/set.tsv" source_language: "en" target_language: "fr" }
sets { name: "other" pairs: "data/set.tsv" prompt: "say: " out_of_domain: true take: 1 }
measurement { repeats: 2 bootstrap_samples: 10 }
)");
  }
  std::string out() const { return directory_ + "/out"; }

  const std::string directory_ =
      testing::TempDir() + "experiment-" + testing::UnitTest::GetInstance()->current_test_info()->name();
  FakeServer models_;
  FakeJobServer jobs_;
  Surroundings surroundings_;
  petit::v1::JobState final_state_ = petit::v1::JOB_STATE_SUCCEEDED;
};

TEST_F(ExperimentTest, WritesOneFolderThatHasEverything) {
  const absl::StatusOr<std::string> text = Run(Experiment());
  ASSERT_TRUE(text.ok()) << text.status();
  const nlohmann::json json = nlohmann::json::parse(*text);
  EXPECT_EQ(json["teacher"], "teacher");
  EXPECT_EQ(json["models"][1]["label"], "Pupil");
  EXPECT_EQ(json["models"][1]["role"], "distilled");
  EXPECT_EQ(json["results"].size(), 4);
  EXPECT_EQ(json["speeds"].size(), 2) << "of the main set";
  EXPECT_EQ(json["speeds"][0]["passes"].size(), 2);
  EXPECT_EQ(json["speeds"][0]["concurrency"], 1);
  EXPECT_EQ(json["versions"]["git_revision"], "fake");
  ASSERT_EQ(json["jobs"].size(), 1);
  const nlohmann::json& job = json["jobs"][0];
  EXPECT_EQ(job["name"], "jobs/j1");
  EXPECT_EQ(job["experiment"], "distill");
  EXPECT_EQ(job["arms"][0]["model"], "student");
  EXPECT_TRUE(job["arms"][1]["model"].is_null());
  ASSERT_EQ(job["curves"].size(), 2);
  EXPECT_EQ(job["curves"][1]["step"], 20);
  EXPECT_EQ(job["curves"][1]["kl"], 1.25);
  EXPECT_EQ(job["dev"][0]["bleu"], 12.5);
  EXPECT_EQ(jobs_.last_publish().publish_as(), "student");
  EXPECT_EQ(TextOf(out() + "/results.json"), *text);
  EXPECT_EQ(TextOf(out() + "/experiment.textproto"), Experiment());
  EXPECT_EQ(TextOf(out() + "/hypotheses/en-fr/student.txt"), "ONE TWO THREE FOUR\nFIVE SIX\n");
  EXPECT_EQ(TextOf(out() + "/hypotheses/other/teacher.txt"), "ONE TWO THREE FOUR\n");
  EXPECT_THAT(TextOf(out() + "/results.csv"), StartsWith("set,model,pairs,bleu"));
  EXPECT_THAT(TextOf(out() + "/manifest.json"), HasSubstr("Abacus 3000"));
  EXPECT_THAT(TextOf(out() + "/log.txt"), HasSubstr("distill is jobs/j1"));
  EXPECT_THAT(TextOf(out() + "/jobs/distill.jsonl"), HasSubstr("crossEntropy"));
}

TEST_F(ExperimentTest, ASecondRunDoesNothingAgain) {
  ASSERT_TRUE(Run(Experiment()).ok());
  const int texts = models_.texts;
  ASSERT_TRUE(Run(Experiment()).ok());
  EXPECT_EQ(models_.texts, texts);
  EXPECT_EQ(jobs_.job_count(), 1);
  const absl::Status status = Run(Experiment() + "title: \"another\"\n").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr(out()));
}

TEST_F(ExperimentTest, ADistillationThatFailsEndsIt) {
  final_state_ = petit::v1::JOB_STATE_FAILED;
  const absl::Status status = Run(Experiment()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("distillation distill: jobs/j1 is FAILED"));
  EXPECT_EQ(models_.texts, 0);
}

TEST_F(ExperimentTest, ASetThatIsNoneIsSaidBeforeAnythingIsDistilled) {
  std::ofstream(directory_ + "/data/set.tsv") << "no tab\n";
  EXPECT_THAT(Run(Experiment()).status().message(), HasSubstr("set.tsv:1: the line has no tab"));
  EXPECT_EQ(jobs_.job_count(), 0);
}

TEST_F(ExperimentTest, NamesEveryMistakeOfTheFile) {
  const auto error = [this](const std::string& text) {
    return std::string(ReadExperiment(Write(text), "localhost:1").status().message());
  };
  EXPECT_THAT(error("name: 1"), HasSubstr("experiment.textproto:1:7: "));
  const std::string errors = error(
      "name: \"a/b\" sets { name: \"x\" } distillations { name: \"d\" } teacher: \"tutor\" "
      "measurement { repeats: -2 } sets { name: \"y\" pairs: \"p\" source: \"s\" skip: -1 prompt: \"\" }");
  for (const char* part :
       {": name: is 'a/b'", ": models: there is none", ": sets[0]: needs either pairs, or source and reference",
        ": sets[0]: needs source_language and target_language, or a prompt", ": sets[1]: needs either",
        ": sets[1].skip: is -1", ": distillations[0]: needs either spec_file or spec",
        ": teacher: 'tutor' is none of the models", ": measurement.repeats: is -2"}) {
    EXPECT_THAT(errors, HasSubstr(part));
  }
  EXPECT_THAT(error("name: \"a\" distillations { name: \"d\" spec_file: \"none.textproto\" }"),
              HasSubstr("none.textproto"));
  EXPECT_THAT(std::string(ReadExperiment("/no/such", "").status().message()), HasSubstr("/no/such"));
}

TEST_F(ExperimentTest, ATrialIsShortAndSaysSo) {
  absl::StatusOr<ExperimentPlan> plan = ReadExperiment(
      Write("name: \"long\" models { name: \"m\" } sets { name: \"s\" pairs: \"p\" prompt: \"\" skip: 5 take: 3 } "
            "sets { name: \"t\" pairs: \"p\" prompt: \"\" } decoding { max_new_tokens: 128 } "
            "distillations { name: \"d\" spec { train { path: \"t\" } dev { path: \"d\" take: 200 } "
            "training { epochs: 3 batch_size: 64 micro_batch_size: 16 } halving { } } }"),
      "server:1");
  ASSERT_TRUE(plan.ok()) << plan.status();
  const std::string text = plan->text;
  ShortenForTrial(*plan);
  EXPECT_TRUE(plan->evaluation.trial);
  EXPECT_EQ(plan->evaluation.sets[0].files.skip, 5);
  EXPECT_EQ(plan->evaluation.sets[0].files.take, 3);
  EXPECT_EQ(plan->evaluation.sets[1].files.take, 8);
  EXPECT_EQ(plan->evaluation.decoding.max_new_tokens, 8);
  EXPECT_EQ(plan->evaluation.measurement.repeats, 1);
  const petit::v1::JobSpec& spec = plan->distillations[0].spec;
  EXPECT_EQ(spec.training().steps(), 2);
  EXPECT_EQ(spec.training().epochs(), 0);
  EXPECT_EQ(spec.training().micro_batch_size(), 0);
  EXPECT_FALSE(spec.has_halving());
  EXPECT_EQ(spec.train(0).take(), 8);
  EXPECT_EQ(spec.dev(0).take(), 4);
  EXPECT_NE(plan->text, text) << "its folder cannot go on as the experiment's own";
}

TEST_F(ExperimentTest, PathsAreRelativeToTheFile) {
  const absl::StatusOr<ExperimentPlan> plan = ReadExperiment(Write(Experiment()), "server:1");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->evaluation.sets[0].files.pairs, directory_ + "/data/set.tsv");
  EXPECT_EQ(plan->evaluation.models[0].server, "server:1");
  EXPECT_EQ(plan->evaluation.main_set, "en-fr");
  EXPECT_FALSE(plan->evaluation.sets[1].speed);
  EXPECT_EQ(plan->evaluation.sets[1].prompt, "say: ");
}

}  // namespace
}  // namespace petit::eval
