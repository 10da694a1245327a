#include "models/distill/labels.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "models/checkpoint/checkpoint.h"
#include "tests/unit/distill/train_fixture.h"

namespace petit::distill {
namespace {

using Ids = std::vector<TokenId>;

class LabelsTest : public TrainTest {
 protected:
  absl::StatusOr<std::vector<Ids>> Make() {
    return TeacherLabels(
        sources_, path(),
        [this]() -> absl::StatusOr<Generator> {
          ++loads_;
          const auto checkpoint = checkpoint::Checkpoint::Open(Tiny("v1_1"));
          if (!checkpoint.ok()) return checkpoint.status();
          return Generator::Load(*checkpoint, {.max_new_tokens = 6, .distribution_size = 340});
        },
        Never, [](const std::string& /*text*/) {});
  }
  std::string path() const { return root_ / "cache/labels.txt"; }

  const std::vector<Ids> sources_ = {{5, 6, 7, 1}, {9, 1}, {20, 21, 1}};
  int loads_ = 0;
};

TEST_F(LabelsTest, AreMadeOnceAndReadAfterwards) {
  const auto made = Make();
  ASSERT_TRUE(made.ok()) << made.status();
  ASSERT_EQ(made->size(), 3);
  const auto read = Make();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, *made);
  EXPECT_EQ(loads_, 1);
}

TEST_F(LabelsTest, ALineCutOffByACrashIsMadeAgain) {
  const auto made = Make();
  ASSERT_TRUE(made.ok()) << made.status();
  const std::string whole = ReadFile(path());
  std::filesystem::resize_file(path(), whole.size() - 1);
  const auto again = Make();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, *made);
  EXPECT_EQ(ReadFile(path()), whole);
}

TEST_F(LabelsTest, OfTwoRunsAtATimeOneWrites) {
  const auto made = Make();
  ASSERT_TRUE(made.ok()) << made.status();
  // The other run has written one line and half of the next.
  const std::string whole = ReadFile(path());
  const std::string half = whole.substr(0, whole.find('\n') + 3);
  std::ofstream(path(), std::ios::binary) << half;
  const int other = open(path().c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(other, LOCK_EX | LOCK_NB), 0);
  const auto beside = Make();
  close(other);
  ASSERT_TRUE(beside.ok()) << beside.status();
  EXPECT_EQ(*beside, *made);
  EXPECT_EQ(ReadFile(path()), half);
}

}  // namespace
}  // namespace petit::distill
