// petit jobs, against a service that has no trainer.
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "client/cli/job_spec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/cli/run_cli.h"
#include "tests/unit/client/fake_jobs.h"

namespace petit::cli {
namespace {

using client::FakeJobServer;
using petit::v1::JobEvent;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kSpec[] = "teacher: \"teacher\"\narms { name: \"half\" alpha: 0.5 }\npublish_as: \"student\"\n";

CliResult Jobs(const FakeJobServer& server, std::vector<std::string> arguments, const std::string& input = "") {
  arguments.insert(arguments.begin(), "jobs");
  arguments.insert(arguments.end(), {"--server", server.address()});
  return RunCli(arguments, input);
}

void AddProgress(FakeJobServer& server, const std::string& name, int step) {
  JobEvent event;
  event.mutable_progress()->set_step(step);
  event.mutable_progress()->set_total_steps(100);
  event.mutable_progress()->set_epoch(0.5);
  event.mutable_progress()->set_tokens_per_second(1234);
  event.mutable_progress()->set_eta_seconds(65);
  petit::v1::ArmProgress* const arm = event.mutable_progress()->add_arms();
  arm->set_arm("half");
  arm->set_cross_entropy(2.5);
  arm->set_kl(0.25);
  arm->set_learning_rate(1e-5);
  server.AddEvent(name, event);
}

void AddDevScore(FakeJobServer& server, const std::string& name) {
  JobEvent event;
  petit::v1::DevScore* const score = event.mutable_dev_score();
  score->set_arm("half");
  score->set_set("test");
  score->set_step(10);
  score->set_bleu(12.345);
  score->set_chrf(40);
  score->set_cross_entropy(2);
  score->set_pairs(500);
  server.AddEvent(name, event);
}

void AddRun(FakeJobServer& server, const std::string& name, petit::v1::JobState end, const std::string& reason = "") {
  server.AddState(name, petit::v1::JOB_STATE_RUNNING);
  server.AddLog(name, "reading data");
  AddProgress(server, name, 10);
  AddDevScore(server, name);
  server.AddState(name, end, reason);
}

TEST(JobsCreate, PrintsTheNameAloneAndSendsTheSpec) {
  FakeJobServer server;
  const TempFile file(kSpec);
  const CliResult result = Jobs(server, {"create", "--spec", file.path(), "--request-id", "mine"});
  EXPECT_EQ(result.code, kExitOk) << result.err;
  EXPECT_EQ(result.out, "jobs/j1\n");
  EXPECT_THAT(result.err, IsEmpty());
  EXPECT_EQ(server.last_create().request_id(), "mine");
  EXPECT_EQ(server.last_create().spec().arms(0).name(), "half");
  EXPECT_EQ(server.last_create().spec().publish_as(), "student");
}

TEST(JobsCreate, ReadsStandardInputAndIsIdempotentByRequestId) {
  FakeJobServer server;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Jobs(server, {"create", "--spec", "-", "--request-id", "mine"}, kSpec).out, "jobs/j1\n");
  }
  EXPECT_EQ(server.job_count(), 1);
}

TEST(JobsCreate, NamesLineAndColumnOfASyntaxError) {
  FakeJobServer server;
  const CliResult result = Jobs(server, {"create", "--spec", "-"}, "teacher: \"t\"\narms { alpa: 0.5 }\n");
  EXPECT_EQ(result.code, kExitUsage);
  EXPECT_THAT(result.err, StartsWith("petit: standard input:2:12: "));
  EXPECT_THAT(result.err, HasSubstr("alpa"));
  EXPECT_EQ(server.create_calls, 0);
  const TempFile file("arms {\n");
  EXPECT_THAT(Jobs(server, {"create", "--spec", file.path()}).err, StartsWith("petit: " + file.path() + ":2:1: "));
}

TEST(JobsCreate, RefusesFilesThatAreNoSpec) {
  FakeJobServer server;
  EXPECT_THAT(Jobs(server, {"create", "--spec", "/no/such/file"}).err, HasSubstr("cannot open /no/such/file"));
  EXPECT_EQ(Jobs(server, {"create", "--spec", "/no/such/file"}).code, kExitUsage);
  EXPECT_EQ(Jobs(server, {"create"}).code, kExitUsage);
  EXPECT_THAT(Jobs(server, {"create", "--spec", "/"}).err, HasSubstr("is a directory"));
  EXPECT_THAT(ParseJobSpec("\nteacher: \"\xFF\"", "f").status().message(), HasSubstr("f:2:11: this byte is not"));
}

TEST(JobsCreate, ReportsWhatTheServerRefuses) {
  FakeJobServer server;
  const CliResult result = Jobs(server, {"create", "--spec", "-"}, "teacher: \"t\"");
  EXPECT_EQ(result.code, kExitServerError);
  EXPECT_EQ(result.err, "petit: INVALID_ARGUMENT: spec.arms is empty (request request-8)\n");
  EXPECT_THAT(result.out, IsEmpty());
}

TEST(JobsList, PrintsATableOfAllPages) {
  FakeJobServer server;
  for (const char* name : {"jobs/a", "jobs/b", "jobs/c"}) AddRun(server, name, petit::v1::JOB_STATE_SUCCEEDED);
  CliResult result = Jobs(server, {"list"});
  EXPECT_EQ(result.code, kExitOk) << result.err;
  EXPECT_THAT(result.out, StartsWith("JOB     STATE        STEP  TEACHER"));
  EXPECT_THAT(result.out, HasSubstr("\njobs/c  SUCCEEDED  10/100  -"));
  EXPECT_THAT(result.out, HasSubstr("\njobs/a  "));
  EXPECT_EQ(server.list_calls, 2);
  result = Jobs(server, {"list", "--limit", "1"});
  EXPECT_THAT(result.out, Not(HasSubstr("jobs/b")));
}

TEST(JobsList, PrintsJson) {
  FakeJobServer server;
  AddRun(server, "jobs/a", petit::v1::JOB_STATE_FAILED, "no disk");
  const nlohmann::json json = nlohmann::json::parse(Jobs(server, {"list", "--json"}).out);
  ASSERT_EQ(json.size(), 1);
  EXPECT_EQ(json[0]["name"], "jobs/a");
  EXPECT_EQ(json[0]["state"], "FAILED");
  EXPECT_EQ(json[0]["error"], "no disk");
  EXPECT_EQ(json[0]["last_sequence"], 5);
}

TEST(JobsList, SaysWhereThereIsNone) {
  FakeJobServer server;
  EXPECT_THAT(Jobs(server, {"list"}).err, HasSubstr("there are no jobs"));
  EXPECT_EQ(Jobs(server, {"list", "--json"}).out, "[]\n");
}

TEST(JobsGet, ShowsProgressAndSpec) {
  FakeJobServer server;
  const TempFile file(kSpec);
  Jobs(server, {"create", "--spec", file.path()});
  AddRun(server, "jobs/j1", petit::v1::JOB_STATE_FAILED, "no disk");
  for (const char* id : {"j1", "jobs/j1"}) {
    const CliResult result = Jobs(server, {"get", id});
    EXPECT_EQ(result.code, kExitOk) << result.err;
    EXPECT_THAT(result.out, StartsWith("job:       jobs/j1\nstate:     FAILED\nerror:     no disk\n"));
    EXPECT_THAT(result.out, HasSubstr("progress:  step 10/100 (10%), epoch 0.50, 1234 tokens/s, 1m 05s left\n"));
    EXPECT_THAT(result.out, HasSubstr("spec:\n  teacher: \"teacher\"\n"));
  }
  const nlohmann::json json = nlohmann::json::parse(Jobs(server, {"get", "j1", "--json"}).out);
  EXPECT_EQ(json["spec"]["arms"][0]["alpha"], 0.5);
  EXPECT_FALSE(json["spec"].contains("training"));
  EXPECT_EQ(json["create_time"], "2023-11-14T22:13:20+00:00");
}

TEST(JobsGet, RefusesWhatIsNoId) {
  FakeJobServer server;
  EXPECT_EQ(Jobs(server, {"get", "models/x"}).err, "petit: 'models/x' is no job; ID or jobs/ID is wanted\n");
  EXPECT_EQ(Jobs(server, {"get", "jobs/"}).code, kExitUsage);
  EXPECT_EQ(Jobs(server, {"get"}).code, kExitUsage);
  EXPECT_EQ(Jobs(server, {"get", "x"}).err, "petit: NOT_FOUND: there is no job 'jobs/x' (request request-8)\n");
}

TEST(JobsCancelAndDelete, SayWhatHappened) {
  FakeJobServer server;
  server.AddState("jobs/a", petit::v1::JOB_STATE_RUNNING);
  EXPECT_EQ(Jobs(server, {"cancel", "a"}).err, "petit: jobs/a ends as soon as its worker has stopped\n");
  EXPECT_EQ(Jobs(server, {"delete", "a"}).code, kExitServerError);
  server.AddState("jobs/b", petit::v1::JOB_STATE_QUEUED);
  EXPECT_EQ(Jobs(server, {"cancel", "jobs/b"}).err, "petit: jobs/b is cancelled\n");
  EXPECT_EQ(Jobs(server, {"cancel", "b"}).code, kExitServerError);  // it has ended
  EXPECT_EQ(Jobs(server, {"delete", "b"}).err, "petit: jobs/b is deleted\n");
  EXPECT_EQ(server.job_count(), 1);
}

void AddStudents(FakeJobServer& server, const std::string& name) {
  petit::v1::Job job;
  job.set_name(name);
  job.set_state(petit::v1::JOB_STATE_SUCCEEDED);
  for (const char* arm : {"low", "high"}) {
    job.mutable_spec()->add_arms()->set_name(arm);
    job.add_students()->set_arm(arm);
  }
  job.mutable_students(1)->set_best(true);
  server.SetJob(job);
}

TEST(JobsPublish, PrintsTheVersionAlone) {
  FakeJobServer server;
  AddStudents(server, "jobs/a");
  CliResult result = Jobs(server, {"publish", "a", "--arm", "low", "--as", "student"});
  EXPECT_EQ(result.code, kExitOk) << result.err;
  EXPECT_EQ(result.out, "student/1\n");
  EXPECT_THAT(result.err, IsEmpty());
  EXPECT_EQ(server.last_publish().name(), "jobs/a");
  EXPECT_EQ(server.last_publish().arm(), "low");
  // Without --arm the best.
  EXPECT_EQ(Jobs(server, {"publish", "jobs/a", "--as", "student"}).out, "student/2\n");
  EXPECT_EQ(Jobs(server, {"publish", "a", "--arm", "low", "--as", "student"}).out, "student/1\n");
}

TEST(JobsPublish, ReportsWhatCannotBePublished) {
  FakeJobServer server;
  AddStudents(server, "jobs/a");
  EXPECT_EQ(Jobs(server, {"publish", "a"}).code, kExitUsage) << "--as is wanted";
  CliResult result = Jobs(server, {"publish", "a", "--arm", "none", "--as", "student"});
  EXPECT_EQ(result.code, kExitServerError);
  EXPECT_THAT(result.err, HasSubstr("INVALID_ARGUMENT: arm: there is no arm 'none'"));
  result = Jobs(server, {"publish", "a", "--as", "nobody"});
  EXPECT_EQ(result.code, kExitServerError);
  EXPECT_THAT(result.err, HasSubstr("NOT_FOUND"));
  EXPECT_THAT(result.out, IsEmpty());
}

TEST(JobsWatch, PrintsALineAnEvent) {
  FakeJobServer server;
  AddRun(server, "jobs/a", petit::v1::JOB_STATE_SUCCEEDED);
  const CliResult result = Jobs(server, {"watch", "a"});
  EXPECT_EQ(result.code, kExitOk) << result.err;
  std::istringstream lines(result.out);
  std::vector<std::string> texts;
  for (std::string line; std::getline(lines, line);) texts.push_back(line.substr(21));  // after the time
  EXPECT_THAT(texts, testing::ElementsAre(
                         "#1  RUNNING (attempt 1)", "#2  reading data",
                         "#3  step 10/100 (10%), epoch 0.50, 1234 tokens/s, 1m 05s left; half: CE 2.5000 KL 0.2500 "
                         "lr 1e-05",
                         "#4  dev test at step 10; half: BLEU 12.35 chrF 40.00 CE 2.0000 of 500 pairs",
                         "#5  SUCCEEDED (attempt 1)"));
  EXPECT_THAT(result.err, IsEmpty());
}

TEST(JobsWatch, PrintsJsonAnEventALine) {
  FakeJobServer server;
  AddRun(server, "jobs/a", petit::v1::JOB_STATE_SUCCEEDED);
  const CliResult result = Jobs(server, {"watch", "a", "--json", "--after", "2"});
  std::istringstream lines(result.out);
  std::vector<nlohmann::json> events;
  for (std::string line; std::getline(lines, line);) events.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(events.size(), 3);
  EXPECT_EQ(events[0]["sequence"], 3);
  EXPECT_EQ(events[0]["progress"]["arms"][0]["kl"], 0.25);
  EXPECT_EQ(events[0]["progress"]["teacher_forwards"], 0);
  EXPECT_FALSE(events[0].contains("log"));
  EXPECT_FALSE(events[1]["dev_score"].contains("kl"));  // there is no teacher
  EXPECT_EQ(events[2]["state_change"]["state"], "SUCCEEDED");
}

TEST(JobsWatch, EndsWithOneAndTheReasonWhereTheJobDidNotSucceed) {
  FakeJobServer server;
  AddRun(server, "jobs/a", petit::v1::JOB_STATE_FAILED, "the disk is full");
  AddRun(server, "jobs/b", petit::v1::JOB_STATE_CANCELLED);
  CliResult result = Jobs(server, {"watch", "a"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.err, "petit: jobs/a FAILED: the disk is full\n");
  EXPECT_EQ(Jobs(server, {"watch", "a", "--after", "5"}).err, result.err);  // nothing new, the same outcome
  result = Jobs(server, {"watch", "b"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.err, "petit: jobs/b CANCELLED\n");
}

TEST(JobsWatch, SaysThatAConnectionWasLostAndGoesOn) {
  FakeJobServer server;
  AddRun(server, "jobs/a", petit::v1::JOB_STATE_SUCCEEDED);
  server.BreakStreams({2});
  const CliResult result = Jobs(server, {"watch", "a"});
  EXPECT_EQ(result.code, kExitOk);
  EXPECT_THAT(result.err, HasSubstr("petit: connection lost (UNAVAILABLE: the server is draining"));
  EXPECT_THAT(result.out, HasSubstr("#5  SUCCEEDED"));
}

TEST(JobsWatch, AfterCreateShowsTheNewJob) {
  FakeJobServer server;
  const TempFile file(kSpec);
  // The fake numbers jobs by how many there are: the new one finds its events there.
  AddRun(server, "jobs/j2", petit::v1::JOB_STATE_FAILED, "why");
  const CliResult result = Jobs(server, {"create", "--spec", file.path(), "--watch"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.out, StartsWith("jobs/j2\n"));
  EXPECT_EQ(result.err, "petit: jobs/j2 FAILED: why\n");
}

TEST(JobsWatch, DrawsCurvesOnATerminal) {
  FakeJobServer server;
  AddRun(server, "jobs/a", petit::v1::JOB_STATE_SUCCEEDED);
  std::ostringstream out;
  std::ostringstream err;
  Io io{.out = &out, .err = &err, .out_is_terminal = true};
  EXPECT_EQ(RunPetit({"jobs", "watch", "a", "--server", server.address()}, io), kExitOk) << err.str();
  EXPECT_THAT(out.str(), HasSubstr("#2  reading data\n"));  // scrolls by
  const std::string last = out.str().substr(out.str().rfind("\x1b[J"));
  EXPECT_THAT(last, HasSubstr("jobs/a  SUCCEEDED\nstep 10/100 [###---"));
  EXPECT_THAT(last, HasSubstr("\n\nhalf  lr 1e-05\n  CE   2.5000  \u2585\n  KL   0.2500  \u2585\n"));
  EXPECT_THAT(last, HasSubstr("\n  dev @10  in: test BLEU 12.35 chrF 40.00 CE 2.0000\n"));
}

}  // namespace
}  // namespace petit::cli
