// Two tasks against one. Each task is a process of its own, as in life: LibTorch's sums wait for one another.
#include "models/distill/task_group.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "tests/unit/distill/train_fixture.h"

namespace petit::distill {
namespace {

class TaskGroupTest : public TrainTest {
 protected:
  // Runs `task(rank)` in `size` processes; true if all of them answer true.
  template <typename F>
  static bool InProcesses(int size, F task) {
    std::vector<pid_t> children;
    for (int rank = 0; rank < size; ++rank) {
      const pid_t child = fork();
      if (child == 0) _exit(task(rank) ? 0 : 1);
      children.push_back(child);
    }
    bool all = true;
    for (const pid_t child : children) {
      int status = 0;
      waitpid(child, &status, 0);
      all = all && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return all;
  }

  Settings DropoutOff(const std::string& name) const {
    Settings settings = Job(name);
    settings.dropout = 0;
    settings.batch_size = 5;  // ragged: two examples and three
    settings.micro_batch_size = 0;
    settings.steps = 8;
    return settings;
  }

  // Trains and writes each progress' losses to PATH.
  static bool TrainAndRecord(const Settings& settings, const std::string& path, TaskGroup* group) {
    struct Lines : Recorder {
      std::ofstream file;
      void OnDevScore(const DevScore& score) override {
        file << score.set << ' ' << score.arm << ' ' << score.step << ' ' << score.cross_entropy << ' '
             << score.kl.value_or(-1) << '\n';
      }
    } recorder;
    recorder.file.open(path);
    recorder.file.precision(9);
    const auto outcome = Train(settings, Score, &recorder, Never, group);
    if (!outcome.ok()) std::cerr << outcome.status() << "\n";
    return outcome.ok();
  }

  static std::vector<double> Numbers(const std::string& path) {
    std::ifstream file(path);
    std::vector<double> numbers;
    std::string set;
    std::string arm;
    double step = 0;
    double cross_entropy = 0;
    double kl = 0;
    while (file >> set >> arm >> step >> cross_entropy >> kl) {
      numbers.push_back(cross_entropy);
      numbers.push_back(kl);
    }
    return numbers;
  }
};

TEST_F(TaskGroupTest, SumsAreOfAllTasks) {
  const std::string file = root_ / "rendezvous";
  EXPECT_TRUE(InProcesses(3, [&](int rank) {
    auto group = JoinTasks({.rank = rank, .size = 3, .rendezvous_file = file});
    if (!group.ok()) return false;
    at::Tensor x = at::full({4}, static_cast<double>(rank + 1));
    return (*group)->Sum(&x).ok() && at::equal(x, at::full({4}, 6.0));
  }));
}

TEST_F(TaskGroupTest, TwoTasksLearnAsOneDoes) {
  Settings one = DropoutOff("one");
  one.eval_steps = 1;
  Settings two = DropoutOff("two");
  two.eval_steps = 1;
  const std::string file = root_ / "rendezvous";
  ASSERT_TRUE(InProcesses(1, [&](int) { return TrainAndRecord(one, root_ / "one.txt", nullptr); }));
  ASSERT_TRUE(InProcesses(2, [&](int rank) {
    auto group = JoinTasks({.rank = rank, .size = 2, .rendezvous_file = file});
    return group.ok() && TrainAndRecord(two, root_ / ("two-" + std::to_string(rank) + ".txt"), group->get());
  }));
  const std::vector<double> expected = Numbers(root_ / "one.txt");
  const std::vector<double> found = Numbers(root_ / "two-0.txt");
  ASSERT_EQ(expected.size(), 2 * 2 * 9);  // losses, arms, evaluations
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(found[i], expected[i], 1e-4 * std::max(1e-2, std::abs(expected[i]))) << i;
  }
  EXPECT_TRUE(Numbers(root_ / "two-1.txt").empty());  // one task alone speaks
}

TEST_F(TaskGroupTest, ATaskThatDoesNotComeIsAnError) {
  const auto group =
      JoinTasks({.rank = 0, .size = 2, .rendezvous_file = root_ / "rendezvous", .timeout = absl::Milliseconds(300)});
  EXPECT_EQ(group.status().code(), absl::StatusCode::kUnavailable) << group.status();
}

}  // namespace
}  // namespace petit::distill
