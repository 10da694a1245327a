// How a job is cancelled, and what an ended job keeps.
#include <string>

#include "tests/unit/jobs/manager_fixture.h"

namespace petit::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class JobCancelTest : public ManagerTest {};

TEST_F(JobCancelTest, AQueuedJobIsCancelledAtOnce) {
  const std::string name = Create(RequestFor({"a"}));
  EXPECT_EQ(manager_->Cancel(name)->state(), v1::JOB_STATE_CANCELLED);
  EXPECT_TRUE(Get(name).has_end_time());
  Round();
  EXPECT_EQ(cluster_.starts(), 0);
  EXPECT_THAT(observer_.ended, ElementsAre(name));
  EXPECT_TRUE(absl::IsFailedPrecondition(manager_->Cancel(name).status()));
}

TEST_F(JobCancelTest, ARunningJobIsAskedToStopAndKeepsItsStudents) {
  const std::string name = CreateRunning(RequestFor({"a", "b"}));
  const auto job = manager_->Cancel(name);
  EXPECT_EQ(job->state(), v1::JOB_STATE_RUNNING);
  EXPECT_TRUE(job->cancelling());
  EXPECT_TRUE(manager_->Cancel(name).ok()) << "no error while it is being cancelled";
  Round();
  EXPECT_THAT(cluster_.Of(name, 1).stops, ElementsAre(false));
  cluster_.MakeStudent(name, 1, "b");
  SayStopped(name, 1, 2);
  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_CANCELLED);
  ASSERT_EQ(Get(name).students_size(), 1);
  EXPECT_EQ(Get(name).students(0).arm(), "b");
  EXPECT_EQ(Get(name).students(0).checkpoint(), DirectoryOf(name) + "/students/b");
  EXPECT_FALSE(Get(name).students(0).best());
  EXPECT_TRUE(PathExists(DirectoryOf(name) + "/students/b/config.json"));
  EXPECT_TRUE(absl::IsFailedPrecondition(manager_->Cancel(name).status()));
}

TEST_F(JobCancelTest, AWorkerThatDoesNotStopInTimeIsKilled) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  ASSERT_TRUE(manager_->Cancel(name).ok());
  Round();
  Round(absl::Seconds(59));
  EXPECT_THAT(cluster_.Of(name, 1).stops, ElementsAre(false));
  Round(absl::Seconds(1));
  EXPECT_THAT(cluster_.Of(name, 1).stops, ElementsAre(false, true));
  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_CANCELLED);
}

TEST_F(JobCancelTest, ACancellationOutlivesTheServer) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  ASSERT_TRUE(manager_->Cancel(name).ok());
  Restart();
  EXPECT_TRUE(Get(name).cancelling());
  Round();
  EXPECT_THAT(cluster_.Of(name, 1).stops, ElementsAre(false));
  cluster_.Die(name, 1, "exit status 0");
  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_CANCELLED);
}

TEST_F(JobCancelTest, ACancelledJobIsNotTriedAgain) {
  const std::string name = CreateRunning(RequestFor({"a"}));
  cluster_.Die(name, 1, "killed by signal 9");
  Round();
  ASSERT_TRUE(manager_->Cancel(name).ok());  // between two attempts
  LongRound();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(cluster_.starts(), 1);
}

TEST_F(JobCancelTest, AJobCancelledBeforeItIsPublishedIsNotPublished) {
  const std::string name = CreateRunning(RequestFor({"a"}, "student"));
  ASSERT_TRUE(manager_->Cancel(name).ok());
  cluster_.Finish(name, 1, {"a"});
  Round();
  EXPECT_EQ(Get(name).state(), v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(Get(name).students_size(), 1);
  EXPECT_THAT(models_.served, IsEmpty());
}

TEST_F(JobCancelTest, AFailedJobKeepsTheLatestStudentOfEachArm) {
  const std::string name = CreateRunning(RequestFor({"a", "b", "c"}));
  cluster_.MakeStudent(name, 1, "a");
  cluster_.MakeStudent(name, 1, "b");
  SayStopped(name, 1, 1);
  LongRound();
  cluster_.MakeStudent(name, 2, "b");
  SayFailed(name, 2, "broken", false);
  Round();
  const v1::Job job = Get(name);
  EXPECT_EQ(job.state(), v1::JOB_STATE_FAILED);
  ASSERT_EQ(job.students_size(), 2);
  EXPECT_EQ(FileText(job.students(0).checkpoint() + "/config.json"), "{\"attempt\": 1}");
  EXPECT_EQ(FileText(job.students(1).checkpoint() + "/config.json"), "{\"attempt\": 2}");
}

}  // namespace
}  // namespace petit::serving
