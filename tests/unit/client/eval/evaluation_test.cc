// Evaluations against servers that upper-case, and what becomes of them when something gets in between.
#include "client/eval/evaluation.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/fake_server.h"

namespace petit::eval {
namespace {

using client::FakeBehaviour;
using client::FakeServer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kLines = 60;

class EvaluationTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    std::ofstream set(directory_ + "/set.tsv");
    for (int i = 1; i <= kLines; ++i) {
      set << "line number " << i << " of the set\tLINE NUMBER " << i << (i % 3 == 0 ? " OF THE SET\n" : " OF A SET\n");
    }
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  Plan PlanFor(const FakeServer& server, std::vector<std::string> models = {"student"}) const {
    Plan plan{.directory = directory_ + "/journal"};
    for (const std::string& model : models) plan.models.push_back({.name = model, .server = server.address()});
    SetPlan set{.name = "set", .files = {}, .source_language = "en", .target_language = "fr"};
    set.files.pairs = directory_ + "/set.tsv";
    plan.sets.push_back(set);
    plan.measurement.bootstrap_samples = 10;
    plan.measurement.concurrency = 4;
    plan.measurement.repeats = 0;
    return plan;
  }

  absl::StatusOr<Outcome> Run(const Plan& plan) {
    absl::StatusOr<std::vector<SetUnderTest>> sets = InspectSets(plan.sets, -1);
    if (!sets.ok()) return sets.status();
    const auto evaluation = Evaluation::Prepare(
        plan, *std::move(sets), [](const std::string& server) { return client::Client::Create({.server = server}); },
        surroundings_);
    if (!evaluation.ok()) return evaluation.status();
    return (*evaluation)->Run("");
  }

  const std::string directory_ =
      testing::TempDir() + "evaluation-" + testing::UnitTest::GetInstance()->current_test_info()->name();
  client::Cancellation cancellation_;
  Surroundings surroundings_{.cancellation = &cancellation_};
};

TEST_F(EvaluationTest, GoesOnAfterAModelThatVanished) {
  {
    const FakeServer server(FakeBehaviour{.gone_after = 25});
    const absl::Status status = Run(PlanFor(server)).status();
    EXPECT_TRUE(absl::IsNotFound(status)) << status;
    EXPECT_THAT(status.message(), HasSubstr("student on set: the last 20 texts failed"));
  }
  const FakeServer server;
  const absl::StatusOr<Outcome> outcome = Run(PlanFor(server));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(server.texts, kLines - 25) << "what was translated before is kept";
  ASSERT_EQ(outcome->scores.size(), 1);
  EXPECT_EQ(outcome->scores[0].pairs, kLines);
  EXPECT_TRUE(outcome->scores[0].failures.empty());
  EXPECT_GT(outcome->scores[0].bleu.score, 10);
}

TEST_F(EvaluationTest, GoesOnAfterAnInterruption) {
  FakeServer server;
  const Plan plan = PlanFor(server);
  surroundings_.progress = [this](const std::string& /*what*/, std::int64_t done, std::int64_t /*total*/) {
    if (done == 10) cancellation_.Cancel();
  };
  EXPECT_TRUE(absl::IsCancelled(Run(plan).status()));
  const int before = server.texts;
  client::Cancellation none;
  surroundings_ = {.cancellation = &none};
  const absl::StatusOr<Outcome> outcome = Run(plan);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_LE(server.texts - before, kLines - 10);
  EXPECT_EQ(outcome->scores[0].pairs, kLines);
}

TEST_F(EvaluationTest, AnotherPromptOrDefaultOfTheServerIsTranslatedAnew) {
  FakeServer server;
  const Plan plan = PlanFor(server);
  ASSERT_TRUE(Run(plan).ok());
  ASSERT_TRUE(Run(plan).ok());
  EXPECT_EQ(server.texts, kLines) << "the second run found everything";
  server.SetPrompt("Say in French: ");
  ASSERT_TRUE(Run(plan).ok());
  EXPECT_EQ(server.texts, 2 * kLines);
  petit::v1::DecodingOptions decoding;
  decoding.set_num_beams(4);
  server.SetDefaultDecoding(decoding);
  ASSERT_TRUE(Run(plan).ok());
  EXPECT_EQ(server.texts, 3 * kLines);
}

TEST_F(EvaluationTest, AVersionThatChangesMidRunIsAnError) {
  const FakeServer server(FakeBehaviour{.new_version_after = 30});
  const absl::Status status = Run(PlanFor(server)).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("version 2 answered line 31, but version 1 was being measured"));
}

TEST_F(EvaluationTest, ComparesWithTeacherAndBaseline) {
  const FakeServer server;
  Plan plan = PlanFor(server, {"teacher", "student"});
  plan.teacher = "teacher";
  plan.baseline = "teacher";
  const absl::StatusOr<Outcome> outcome = Run(plan);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  ASSERT_EQ(outcome->scores.size(), 2);
  EXPECT_EQ(outcome->scores[0].divergence->nats, 0);
  EXPECT_FALSE(outcome->scores[0].bleu.p_value.has_value());
  EXPECT_EQ(outcome->scores[1].divergence->nats, 0.25);
  EXPECT_EQ(outcome->scores[1].agreement->exact, 1);
  EXPECT_TRUE(outcome->scores[1].bleu.p_value.has_value());
  EXPECT_EQ(outcome->scores[1].bleu.teacher_p_value, outcome->scores[1].bleu.p_value) << "the baseline is the teacher";
  EXPECT_FALSE(outcome->scores[0].bleu.teacher_p_value.has_value());
  EXPECT_GT(outcome->scores[1].bleu.half_width, 0);
  EXPECT_TRUE(outcome->examples.empty()) << "the models say the same throughout";
}

TEST_F(EvaluationTest, SaysWhereTheServerHadOtherWork) {
  FakeServer server;
  Plan plan = PlanFor(server);
  plan.measurement.repeats = 2;
  plan.measurement.speed_concurrency = 2;
  absl::StatusOr<Outcome> outcome = Run(plan);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  ASSERT_EQ(outcome->speeds.size(), 1);
  EXPECT_TRUE(outcome->speeds[0].speed.median.idle);
  EXPECT_EQ(outcome->speeds[0].speed.passes.size(), 2);
  EXPECT_TRUE(outcome->problems.empty());
  EXPECT_EQ(server.texts, 3 * kLines) << "another concurrency than that of the pass for quality";

  petit::v1::ServerInfo busy;
  busy.set_build("0.1.0+fake");
  busy.set_texts_in_flight(1);
  server.SetInfo(busy);
  plan.measurement.speed_concurrency = 1;
  outcome = Run(plan);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_FALSE(outcome->speeds[0].speed.median.idle);
  EXPECT_THAT(outcome->problems, ElementsAre(HasSubstr("worked for others")));
}

TEST_F(EvaluationTest, RefusesPlansThatCannotBeMeant) {
  const FakeServer server;
  Plan plan = PlanFor(server);
  plan.teacher = "tutor";
  EXPECT_THAT(Run(plan).status().message(), HasSubstr("'tutor' is none of the models"));
  plan = PlanFor(server, {"student", "student"});
  EXPECT_THAT(Run(plan).status().message(), HasSubstr("model 'student' is there twice"));
  plan = PlanFor(server, {"nobody"});
  EXPECT_THAT(Run(plan).status().message(), HasSubstr("the server has: teacher, student"));
  plan = PlanFor(server, {"student/versions/2"});
  EXPECT_TRUE(absl::IsFailedPrecondition(Run(plan).status()));
  plan = PlanFor(server);
  plan.sets.clear();
  EXPECT_THAT(Run(plan).status().message(), HasSubstr("there is no set"));
  EXPECT_EQ(server.texts, 0);
}

TEST_F(EvaluationTest, ADirectoryThatCannotBeWrittenIsNamed) {
  const FakeServer server;
  Plan plan = PlanFor(server);
  plan.directory = directory_ + "/set.tsv";
  EXPECT_THAT(Run(plan).status().message(), HasSubstr(plan.directory));
}

}  // namespace
}  // namespace petit::eval
