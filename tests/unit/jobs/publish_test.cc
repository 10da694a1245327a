// How a student becomes a version of a served model, whatever comes in between.
#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/jobs/files.h"
#include "server/jobs/publisher.h"
#include "tests/unit/jobs/manager_fixture.h"

namespace petit::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

class PublishTest : public ManagerTest {
 protected:
  // Of a job whose worker has finished with the arms "best" and "other".
  std::string CreateFinished() {
    const std::string name = CreateRunning(RequestFor({"other", "best"}, "student"));
    cluster_.Finish(name, 1, {"best", "other"});
    return name;
  }

  v1::Student StudentAt(const std::string& directory) {
    v1::Student student;
    student.set_arm("best");
    student.set_checkpoint(directory);
    WriteText(directory + "/config.json", "{}");
    WriteText(directory + "/sub/weights", "w");
    return student;
  }
};

TEST_F(PublishTest, TheBestStudentBecomesTheNextVersionAndIsServed) {
  WriteText(versions_root() + "/7/config.json", "{}");
  WriteText(versions_root() + "/SERVED_VERSION", "7\n");
  const std::string name = CreateFinished();
  Round();
  const v1::Job job = Get(name);
  ASSERT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED) << job.error();
  EXPECT_THAT(models_.served, ElementsAre(Pair("student", 8)));
  EXPECT_THAT(NamesIn(versions_root()), ElementsAre("7", "8", "SERVED_VERSION"));
  EXPECT_EQ(FileText(versions_root() + "/8/model.safetensors"), "weights of best");
  EXPECT_EQ(FileText(versions_root() + "/8/petit_job.json"),
            absl::StrCat("{\"arm\":\"best\",\"job\":\"", name, "\"}\n"));
  ASSERT_EQ(job.students_size(), 2);
  EXPECT_EQ(job.students(0).published_as(), "");
  EXPECT_EQ(job.students(1).published_as(), "student/8");
  EXPECT_TRUE(job.students(1).best());
  EXPECT_TRUE(PathExists(DirectoryOf(name) + "/students/best/config.json")) << "it stays with its job, too";
  EXPECT_FALSE(PathExists(DirectoryOf(name) + "/students/best/petit_job.json"));
}

TEST_F(PublishTest, AModelsFirstVersionIsOne) {
  const std::string name = CreateFinished();
  Round();
  EXPECT_EQ(Get(name).students(1).published_as(), "student/1");
}

TEST_F(PublishTest, AVersionThatCannotBeServedFailsTheJobAndLeavesNoTrace) {
  models_.serve_status = absl::ResourceExhaustedError("the device is full");
  WriteText(versions_root() + "/1/config.json", "{}");
  const std::string name = CreateFinished();
  Round();
  const v1::Job job = Get(name);
  EXPECT_EQ(job.state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(job.error(), HasSubstr("the device is full"));
  EXPECT_THAT(job.error(), HasSubstr(DirectoryOf(name) + "/students/best"));
  EXPECT_EQ(job.students(1).published_as(), "");
  EXPECT_TRUE(PathExists(DirectoryOf(name) + "/students/best/model.safetensors"));
  EXPECT_THAT(NamesIn(versions_root()), ElementsAre("1")) << "a later start must not choose the one that fails";
}

TEST_F(PublishTest, AnUnavailableModelIsTriedAgainForAWhile) {
  models_.serve_status = absl::UnavailableError("the server is draining");
  const std::string name = CreateFinished();
  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_RUNNING);
  models_.serve_status = absl::OkStatus();
  Round();
  EXPECT_THAT(models_.served, SizeIs(1)) << "not every round";
  Round(absl::Minutes(1));
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(NamesIn(versions_root()), ElementsAre("1"));

  models_.serve_status = absl::UnavailableError("still");
  const std::string other = CreateFinished();
  for (int i = 0; i < 10; ++i) Round(absl::Minutes(2));
  EXPECT_EQ(Get(other).state(), v1::JOB_STATE_FAILED);
}

TEST_F(PublishTest, AModelThatIsGoneOrPinnedFailsTheJob) {
  models_.models["student"].version_is_pinned = true;
  const std::string pinned = CreateFinished();
  Round();
  EXPECT_EQ(Get(pinned).state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(Get(pinned).error(), HasSubstr("version_policy"));
  models_.models.clear();
  const std::string gone = CreateFinished();
  Round();
  EXPECT_EQ(Get(gone).state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(Get(gone).error(), HasSubstr("publish_as 'student'"));
  EXPECT_EQ(Get(gone).students_size(), 2);
}

TEST_F(PublishTest, AFinishedWorkerWithoutItsBestStudentFailsTheJob) {
  const std::string name = CreateRunning(RequestFor({"a", "b"}));
  cluster_.MakeStudent(name, 1, "b");
  worker::v1::WorkerEvent event;
  event.mutable_finished()->set_best_arm("a");
  cluster_.Say(name, 1, event);
  cluster_.Die(name, 1, "exit status 0");
  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(Get(name).error(), HasSubstr("'a'"));
  EXPECT_EQ(Get(name).students_size(), 1);
}

TEST_F(PublishTest, AServerThatDiesWhileTheVersionLoadsPublishesItOnce) {
  const std::string name = CreateFinished();
  // What a crash in Serve leaves: the version is there and chosen, the job still publishes.
  models_.serve_status = absl::UnavailableError("as if it had never returned");
  Round();
  ASSERT_THAT(NamesIn(versions_root()), ElementsAre("1"));
  models_.serve_status = absl::OkStatus();
  Restart();
  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(NamesIn(versions_root()), ElementsAre("1"));
  EXPECT_EQ(Get(name).students(1).published_as(), "student/1");
}

TEST_F(PublishTest, ACancellationDuringThePublicationComesTooLate) {
  const std::string name = CreateFinished();
  models_.on_serve = [&] { EXPECT_TRUE(manager_->Cancel(name).ok()); };
  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_SUCCEEDED);
}

TEST_F(PublishTest, PlacingGoesOnAfterACrashAtAnyStep) {
  const std::string root = directory_.path() + "/versions";
  const v1::Student student = StudentAt(directory_.path() + "/student");
  int choices = 0;
  std::int64_t chosen = 0;
  const auto choose = [&](std::int64_t version) {
    ++choices;
    chosen = version;
    return absl::OkStatus();
  };
  // Chosen, but nothing copied; half a copy of an earlier life is in the way.
  WriteText(root + "/.tmp-x-best/config.json", "half");
  WriteText(root + "/.tmp-x-best/rest", "half");
  EXPECT_EQ(*PlaceVersion(root, "jobs/x", student, 4, choose), 4);
  EXPECT_EQ(choices, 0);
  EXPECT_THAT(NamesIn(root), ElementsAre("4"));
  EXPECT_THAT(NamesIn(root + "/4"), ElementsAre("config.json", "petit_job.json", "sub"));
  // Placed already.
  EXPECT_EQ(*PlaceVersion(root, "jobs/x", student, 4, choose), 4);
  EXPECT_EQ(choices, 0);
  // Chosen, but somebody else took that number: another job, or a hand.
  EXPECT_EQ(*PlaceVersion(root, "jobs/y", student, 4, choose), 5);
  EXPECT_EQ(choices, 1);
  std::filesystem::create_directories(root + "/6");
  EXPECT_EQ(*PlaceVersion(root, "jobs/z", student, 6, choose), 7);
  EXPECT_EQ(chosen, 7);
  EXPECT_THAT(NamesIn(root), ElementsAre("4", "5", "6", "7"));
}

TEST_F(PublishTest, AChoiceThatCannotBeStoredPublishesNothing) {
  const std::string root = directory_.path() + "/versions";
  const v1::Student student = StudentAt(directory_.path() + "/student");
  const auto version =
      PlaceVersion(root, "jobs/x", student, 0, [](std::int64_t) { return absl::ResourceExhaustedError("full"); });
  EXPECT_TRUE(absl::IsResourceExhausted(version.status()));
  EXPECT_THAT(NamesIn(root), IsEmpty());
}

TEST_F(PublishTest, ANumberTakenBetweenTheChoiceAndTheRenameIsNotOverwritten) {
  const std::string root = directory_.path() + "/versions";
  const v1::Student student = StudentAt(directory_.path() + "/student");
  int choices = 0;
  const auto version = PlaceVersion(root, "jobs/x", student, 0, [&](std::int64_t chosen) {
    if (++choices == 1) WriteText(absl::StrCat(root, "/", chosen, "/config.json"), "another's");
    return absl::OkStatus();
  });
  EXPECT_EQ(*version, 2);
  EXPECT_EQ(FileText(root + "/1/config.json"), "another's");
}

TEST_F(PublishTest, AStudentOfLinksOrPipesIsNotCopied) {
  const v1::Student student = StudentAt(directory_.path() + "/student");
  std::filesystem::create_symlink("/etc/passwd", student.checkpoint() + "/link");
  const absl::Status status = CopyTree(student.checkpoint(), directory_.path() + "/copy");
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("/link"));
}

}  // namespace
}  // namespace petit::serving
