// How students of ended jobs become versions of served models when a client asks for it.
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/jobs/publisher.h"
#include "tests/unit/jobs/manager_fixture.h"

namespace petit::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

class StudentPublicationTest : public ManagerTest {
 protected:
  // Of a job that has ended with the students of "low" and, the best, "high".
  std::string CreateEnded(const std::string& publish_as = "") {
    const std::string name = CreateRunning(RequestFor({"low", "high"}, publish_as));
    cluster_.Finish(name, 1, {"high", "low"});
    Round();
    EXPECT_EQ(Get(name).state(), v1::JOB_STATE_SUCCEEDED);
    return name;
  }

  absl::StatusOr<v1::Job> PublishStudent(const std::string& name, const std::string& arm,
                                         const std::string& publish_as = "student") {
    v1::PublishStudentRequest request;
    request.set_name(name);
    request.set_arm(arm);
    request.set_publish_as(publish_as);
    return manager_->PublishStudent(request);
  }

  std::string PublishedAs(const absl::StatusOr<v1::Job>& job, const std::string& arm) {
    EXPECT_TRUE(job.ok()) << job.status();
    if (!job.ok()) return "";
    for (const v1::Student& student : job->students()) {
      if (student.arm() == arm) return student.published_as();
    }
    ADD_FAILURE() << "no student of " << arm;
    return "";
  }

  void ExpectError(const absl::StatusOr<v1::Job>& job, absl::StatusCode code, const std::string& what) {
    EXPECT_EQ(job.status().code(), code) << job.status();
    EXPECT_THAT(std::string(job.status().message()), HasSubstr(what));
  }

  // What a server leaves that dies after the rename: the version is there, and nobody has heard of it.
  std::int64_t PlaceAndDie(const std::string& name, int student) {
    const auto version = PlaceVersion(versions_root(), name, Get(name).students(student), 0,
                                      [](std::int64_t) { return absl::OkStatus(); });
    EXPECT_TRUE(version.ok()) << version.status();
    Restart();
    return version.value_or(0);
  }
};

TEST_F(StudentPublicationTest, EveryArmsStudentCanBeServed) {
  WriteText(versions_root() + "/7/config.json", "{}");
  const std::string name = CreateEnded();
  EXPECT_EQ(PublishedAs(PublishStudent(name, "low"), "low"), "student/8");
  EXPECT_EQ(PublishedAs(PublishStudent(name, "high"), "high"), "student/9");
  EXPECT_THAT(models_.served, ElementsAre(Pair("student", 8), Pair("student", 9)));
  EXPECT_THAT(NamesIn(versions_root()), ElementsAre("7", "8", "9"));
  EXPECT_EQ(FileText(versions_root() + "/8/model.safetensors"), "weights of low");
  EXPECT_EQ(FileText(versions_root() + "/8/petit_job.json"),
            absl::StrCat("{\"arm\":\"low\",\"job\":\"", name, "\"}\n"));
  EXPECT_EQ(FileText(versions_root() + "/9/model.safetensors"), "weights of high");
  EXPECT_TRUE(PathExists(DirectoryOf(name) + "/students/low/config.json")) << "it stays with its job, too";
  Restart();
  EXPECT_EQ(PublishedAs(Get(name), "low"), "student/8");
  EXPECT_EQ(PublishedAs(Get(name), "high"), "student/9");
}

TEST_F(StudentPublicationTest, WithoutAnArmItIsTheBest) {
  const std::string name = CreateEnded();
  EXPECT_EQ(PublishedAs(PublishStudent(name, "", "models/student"), "high"), "student/1");
  EXPECT_EQ(FileText(versions_root() + "/1/model.safetensors"), "weights of high");
}

TEST_F(StudentPublicationTest, ACancelledJobsStudentsCanBePublished) {
  const std::string name = CreateRunning(RequestFor({"low", "high"}));
  cluster_.MakeStudent(name, 1, "low");
  ASSERT_TRUE(manager_->Cancel(name).ok());
  SayStopped(name, 1, 2);
  Round();
  ASSERT_EQ(Get(name).state(), v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(PublishedAs(PublishStudent(name, "low"), "low"), "student/1");
  ExpectError(PublishStudent(name, ""), absl::StatusCode::kFailedPrecondition,
              "no arm is known to be the best; name one. " + name + " has kept the students of: low");
  ExpectError(PublishStudent(name, "high"), absl::StatusCode::kFailedPrecondition,
              "there is no student of arm 'high'. " + name + " has kept the students of: low");
}

TEST_F(StudentPublicationTest, TheOnlyArmIsTheBest) {
  const std::string name = CreateRunning(RequestFor({"one"}));
  cluster_.MakeStudent(name, 1, "one");
  SayFailed(name, 1, "out of luck", false);
  Round();
  ASSERT_EQ(Get(name).state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ(PublishedAs(PublishStudent(name, ""), "one"), "student/1");
}

TEST_F(StudentPublicationTest, NoEventTellsOfIt) {
  const std::string name = CreateEnded();
  const v1::Job before = Get(name);
  const std::size_t events = EventsOf(name).size();
  const std::size_t observed = observer_.events.size();
  ASSERT_TRUE(PublishStudent(name, "low").ok());
  Round();
  v1::Job after = Get(name);
  EXPECT_EQ(after.last_sequence(), before.last_sequence());
  EXPECT_THAT(EventsOf(name), SizeIs(events));
  EXPECT_THAT(observer_.events, SizeIs(observed));
  EXPECT_THAT(observer_.ended, SizeIs(1));
  // A watch that has seen the last event ends, and one that has not gets it.
  EXPECT_TRUE(manager_->EventsAfter(name, before.last_sequence(), 10)->ended);
  EXPECT_THAT(manager_->EventsAfter(name, before.last_sequence() - 1, 10)->events, SizeIs(1));
  after.mutable_students(0)->clear_published_as();
  EXPECT_EQ(after.SerializeAsString(), before.SerializeAsString()) << "nothing else has changed";
}

TEST_F(StudentPublicationTest, BadRequestsAreRefusedWithWhatWouldBeRight) {
  models_.models["fixed"];
  models_.models["pinned"] = models_.models["student"];
  models_.models["pinned"].version_is_pinned = true;
  const std::string name = CreateEnded();
  ExpectError(PublishStudent("jobs/none", ""), absl::StatusCode::kNotFound, "there is no job jobs/none");
  ExpectError(PublishStudent("none", ""), absl::StatusCode::kInvalidArgument, "names no job");
  ExpectError(PublishStudent(name, "", ""), absl::StatusCode::kInvalidArgument, "publish_as: is empty");
  ExpectError(PublishStudent(name, "middle"), absl::StatusCode::kInvalidArgument,
              "has no arm 'middle'; it has: low, high");
  ExpectError(PublishStudent(name, "", "nobody"), absl::StatusCode::kNotFound,
              "publish_as: there is no model 'nobody'");
  ExpectError(PublishStudent(name, "", "fixed"), absl::StatusCode::kFailedPrecondition,
              "publish_as: model 'fixed' has a fixed checkpoint");
  ExpectError(PublishStudent(name, "", "pinned"), absl::StatusCode::kFailedPrecondition,
              "publish_as: model 'pinned' is pinned");
  const std::string running = CreateRunning(RequestFor({"low"}));
  cluster_.MakeStudent(running, 1, "low");
  ExpectError(PublishStudent(running, "low"), absl::StatusCode::kFailedPrecondition, "has not ended");
  std::filesystem::remove_all(DirectoryOf(name) + "/students/low");
  ExpectError(PublishStudent(name, "low"), absl::StatusCode::kFailedPrecondition, "is no longer in ");
  EXPECT_THAT(models_.served, IsEmpty());
  EXPECT_THAT(NamesIn(versions_root()), IsEmpty());
}

TEST_F(StudentPublicationTest, AJobWithoutStudentsHasNoneToPublish) {
  const std::string name = Create(RequestFor({"low"}));
  ASSERT_TRUE(manager_->Cancel(name).ok());
  ExpectError(PublishStudent(name, ""), absl::StatusCode::kFailedPrecondition, "has kept no student");
  ExpectError(PublishStudent(name, "low"), absl::StatusCode::kFailedPrecondition, "has kept no student");
}

TEST_F(StudentPublicationTest, ARepeatedCallServesTheSameVersion) {
  const std::string name = CreateEnded();
  ASSERT_TRUE(PublishStudent(name, "low").ok());
  ASSERT_TRUE(PublishStudent(name, "high").ok());
  EXPECT_EQ(PublishedAs(PublishStudent(name, "low"), "low"), "student/1");
  EXPECT_THAT(models_.served, ElementsAre(Pair("student", 1), Pair("student", 2), Pair("student", 1)));
  EXPECT_THAT(NamesIn(versions_root()), ElementsAre("1", "2"));
}

TEST_F(StudentPublicationTest, WhatTheJobHasPublishedItselfIsServedAgain) {
  const std::string name = CreateEnded("student");
  ASSERT_EQ(PublishedAs(Get(name), "high"), "student/1");
  EXPECT_EQ(PublishedAs(PublishStudent(name, "low"), "low"), "student/2");
  EXPECT_EQ(PublishedAs(PublishStudent(name, "high"), "high"), "student/1");
  EXPECT_THAT(NamesIn(versions_root()), ElementsAre("1", "2"));
}

TEST_F(StudentPublicationTest, OfSeveralModelsTheLatestIsKept) {
  models_.models["other"].versions_root = directory_.path() + "/models/other";
  const std::string name = CreateEnded();
  EXPECT_EQ(PublishedAs(PublishStudent(name, "low"), "low"), "student/1");
  EXPECT_EQ(PublishedAs(PublishStudent(name, "low", "other"), "low"), "other/1");
  EXPECT_EQ(PublishedAs(PublishStudent(name, "low"), "low"), "student/1");
  EXPECT_THAT(NamesIn(versions_root()), ElementsAre("1"));
}

TEST_F(StudentPublicationTest, ACallAfterACrashFindsTheVersionOfTheOneBefore) {
  const std::string name = CreateEnded();
  ASSERT_EQ(PlaceAndDie(name, 0), 1);
  WriteText(versions_root() + "/2", "no version");
  EXPECT_EQ(PublishedAs(PublishStudent(name, "low"), "low"), "student/1");
  EXPECT_THAT(models_.served, ElementsAre(Pair("student", 1)));
  EXPECT_THAT(NamesIn(versions_root()), ElementsAre("1", "2"));
}

TEST_F(StudentPublicationTest, ACallAfterACrashDuringTheCopyBeginsAnew) {
  const std::string name = CreateEnded();
  const std::string temporary = absl::StrCat(versions_root(), "/.tmp-", name.substr(5), "-low");
  WriteText(temporary + "/config.json", "half");
  WriteText(temporary + "/rest", "half");
  EXPECT_EQ(PublishedAs(PublishStudent(name, "low"), "low"), "student/1");
  EXPECT_THAT(NamesIn(versions_root()), ElementsAre("1"));
  EXPECT_THAT(NamesIn(versions_root() + "/1"), ElementsAre("config.json", "model.safetensors", "petit_job.json"));
}

TEST_F(StudentPublicationTest, AVersionThatCannotBeServedLeavesNoTrace) {
  WriteText(versions_root() + "/1/config.json", "{}");
  const std::string name = CreateEnded();
  for (const absl::Status& status :
       {absl::ResourceExhaustedError("the device is full"), absl::UnavailableError("the server is draining")}) {
    models_.serve_status = status;
    ExpectError(PublishStudent(name, "low"), status.code(),
                absl::StrCat("version 2 of model 'student' cannot be served: ", status.message()));
    EXPECT_EQ(PublishedAs(Get(name), "low"), "");
    EXPECT_THAT(NamesIn(versions_root()), ElementsAre("1")) << "a later start must not choose the one that fails";
    EXPECT_TRUE(PathExists(DirectoryOf(name) + "/students/low/model.safetensors"));
  }
  models_.serve_status = absl::OkStatus();
  EXPECT_EQ(PublishedAs(PublishStudent(name, "low"), "low"), "student/2");
}

TEST_F(StudentPublicationTest, AVersionOfACrashedCallThatCannotBeServedIsTakenBackToo) {
  const std::string name = CreateEnded();
  ASSERT_EQ(PlaceAndDie(name, 0), 1);
  models_.serve_status = absl::InvalidArgumentError("damaged");
  ExpectError(PublishStudent(name, "low"), absl::StatusCode::kInvalidArgument, "damaged");
  EXPECT_THAT(NamesIn(versions_root()), IsEmpty());
}

TEST_F(StudentPublicationTest, AVersionThatWasServedBeforeStaysWhereItCannotBeNow) {
  const std::string name = CreateEnded();
  ASSERT_TRUE(PublishStudent(name, "low").ok());
  ASSERT_TRUE(PublishStudent(name, "high").ok());
  models_.serve_status = absl::ResourceExhaustedError("the device is full");
  EXPECT_FALSE(PublishStudent(name, "low").ok());
  EXPECT_THAT(NamesIn(versions_root()), ElementsAre("1", "2"));
  EXPECT_EQ(PublishedAs(Get(name), "low"), "student/1");
}

TEST_F(StudentPublicationTest, TheVersionThatIsServedIsNeverTakenBack) {
  const std::string name = CreateEnded();
  // A call died after the switch, before it could store what it had done.
  ASSERT_EQ(PlaceAndDie(name, 0), 1);
  models_.models["student"].checkpoint = versions_root() + "/1";
  models_.serve_status = absl::UnavailableError("the server is draining");
  EXPECT_FALSE(PublishStudent(name, "low").ok());
  EXPECT_THAT(NamesIn(versions_root()), ElementsAre("1"));
}

TEST_F(StudentPublicationTest, AJobThatIsDeletedBeforeTheCopyPublishesNothing) {
  const std::string name = CreateEnded();
  models_.on_find = [&] { EXPECT_TRUE(manager_->Delete(name).ok()); };
  ExpectError(PublishStudent(name, "low"), absl::StatusCode::kNotFound, "there is no job " + name);
  EXPECT_THAT(models_.served, IsEmpty());
  EXPECT_THAT(NamesIn(versions_root()), IsEmpty());
}

TEST_F(StudentPublicationTest, AJobThatIsDeletedWhileItsStudentLoadsHasPublishedIt) {
  const std::string name = CreateEnded();
  models_.on_serve = [&] { EXPECT_TRUE(manager_->Delete(name).ok()); };
  EXPECT_EQ(PublishedAs(PublishStudent(name, "low"), "low"), "student/1");
  EXPECT_TRUE(absl::IsNotFound(manager_->Get(name).status()));
  EXPECT_EQ(FileText(versions_root() + "/1/model.safetensors"), "weights of low");
}

TEST_F(StudentPublicationTest, CallsAtTheSameTimePublishEachStudentOnce) {
  const std::vector<std::string> jobs = {CreateEnded(), CreateEnded()};
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    for (const std::string& job : jobs) {
      for (const char* arm : {"low", "high"}) {
        callers.emplace_back([this, job, arm] {
          const auto published = PublishStudent(job, arm);
          EXPECT_TRUE(published.ok()) << published.status();
        });
      }
    }
  }
  // One more, that publishes itself.
  const std::string own = CreateEnded("student");
  for (std::thread& caller : callers) caller.join();
  EXPECT_THAT(NamesIn(versions_root()), ElementsAre("1", "2", "3", "4", "5"));
  std::set<std::string> marks;
  for (int version = 1; version <= 5; ++version) {
    marks.insert(FileText(absl::StrCat(versions_root(), "/", version, "/petit_job.json")));
  }
  EXPECT_THAT(marks, SizeIs(5));
  std::set<std::string> published;
  for (const std::string& job : {jobs[0], jobs[1], own}) {
    const v1::Job ended = Get(job);
    for (const v1::Student& student : ended.students()) published.insert(student.published_as());
  }
  EXPECT_THAT(published, ElementsAre("", "student/1", "student/2", "student/3", "student/4", "student/5"));
}

}  // namespace
}  // namespace petit::serving
