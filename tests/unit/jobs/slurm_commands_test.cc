// How Slurm's answers are read. That it gives them is for slurm_launcher_test.cc, beside a real one.
#include "server/jobs/slurm_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace petit::serving {
namespace {

TEST(SlurmCommandsTest, KnowsTheStatesOfJobs) {
  for (const char* state : {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT"}) {
    EXPECT_EQ(SlurmWorkerState(state), WorkerState::kPending) << state;
  }
  for (const char* state : {"RUNNING", "COMPLETING", "SUSPENDED", "STAGE_OUT", "a later Slurm's"}) {
    EXPECT_EQ(SlurmWorkerState(state), WorkerState::kRunning) << state;
  }
  for (const char* state : {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"}) {
    EXPECT_EQ(SlurmWorkerState(state), WorkerState::kEnded) << state;
  }
}

TEST(SlurmCommandsTest, SaysWhyAWorkerEnded) {
  EXPECT_EQ(SlurmEndReport("COMPLETED", "0:0", "").reason, "exit status 0");
  EXPECT_EQ(SlurmEndReport("FAILED", "1:0", "").reason, "exit status 1");
  EXPECT_EQ(SlurmEndReport("FAILED", "139:0", "").reason, "killed by signal 11");
  EXPECT_EQ(SlurmEndReport("FAILED", "0:9", "").reason, "killed by signal 9");
  EXPECT_EQ(SlurmEndReport("TIMEOUT", "0:0", "").reason, "Slurm ended it: TIMEOUT");
  EXPECT_EQ(SlurmEndReport("FAILED", "", "").reason, "") << "forgotten";
  EXPECT_EQ(SlurmEndReport("FAILED", "nonsense", "").reason, "");
}

TEST(SlurmCommandsTest, KnowsThatMemoryWasTheReason) {
  const char kLog[] = "srun: error\nslurmstepd-n1: error: StepId=5.0 exceeded memory limit (4 > 2), being killed\n";
  EXPECT_TRUE(SlurmEndReport("OUT_OF_MEMORY", "0:125", "").lost_memory);
  EXPECT_TRUE(SlurmEndReport("FAILED", "137:0", kLog).lost_memory);
  EXPECT_FALSE(SlurmEndReport("COMPLETED", "0:0", kLog).lost_memory) << "an earlier run of a requeued job";
  EXPECT_FALSE(SlurmEndReport("FAILED", "137:0", "").lost_memory);
  EXPECT_FALSE(SlurmEndReport("FAILED", "137:0", "the worker: exceeded memory limit\n").lost_memory)
      << "only Slurm's own line counts";
}

}  // namespace
}  // namespace petit::serving
