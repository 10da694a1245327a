#include "server/jobs/event_tail.h"

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/jobs/job_fakes.h"

namespace petit::serving {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string Line(int sequence) { return absl::StrCat("{\"sequence\": \"", sequence, "\", \"heartbeat\": {}}\n"); }

class EventTailTest : public ::testing::Test {
 protected:
  std::string path() const { return directory_.path() + "/events.jsonl"; }

  TailBatch Read(TailPosition begin = {}) {
    const absl::StatusOr<TailBatch> batch = ReadEvents(path(), begin);
    EXPECT_TRUE(batch.ok()) << batch.status();
    return batch.ok() ? *batch : TailBatch();
  }

  JobsDirectory directory_;
};

TEST_F(EventTailTest, AMissingFileHasNoEventsYet) {
  const TailBatch batch = Read();
  EXPECT_THAT(batch.events, IsEmpty());
  EXPECT_TRUE(batch.damage.ok());
  EXPECT_EQ(batch.end.offset, 0);
}

TEST_F(EventTailTest, ReadsWhatIsNewSinceTheLastTime) {
  WriteText(path(), Line(1) + Line(2));
  const TailBatch first = Read();
  ASSERT_THAT(first.events, SizeIs(2));
  EXPECT_EQ(first.end.sequence, 2);
  EXPECT_THAT(Read(first.end).events, IsEmpty());
  WriteText(path(), Line(1) + Line(2) + Line(3));
  const TailBatch second = Read(first.end);
  ASSERT_THAT(second.events, SizeIs(1));
  EXPECT_EQ(second.events[0].sequence(), 3);
}

TEST_F(EventTailTest, ALineIsReadOnlyOnceItIsComplete) {
  const std::string text = Line(1) + Line(2);
  for (std::size_t size = 0; size <= text.size(); ++size) {
    WriteText(path(), text.substr(0, size));
    const TailBatch batch = Read();
    EXPECT_TRUE(batch.damage.ok()) << size;
    EXPECT_THAT(batch.events, SizeIs(size == text.size() ? 2 : size >= Line(1).size() ? 1 : 0)) << size;
  }
}

TEST_F(EventTailTest, KeepsTheEventsBeforeADamagedLine) {
  for (const std::string& damaged :
       {std::string("\n"), std::string("{\n"), std::string("nonsense\n"), std::string("[]\n"),
        std::string("{\"sequence\": \"x\"}\n"), std::string("{\"sequence\": 2, \"progress\": 7}\n"),
        std::string(3, '\0') + "\n", Line(1), Line(3), Line(0), Line(-1)}) {
    WriteText(path(), Line(1) + damaged + Line(3));
    const TailBatch batch = Read();
    EXPECT_THAT(batch.events, SizeIs(1)) << damaged;
    EXPECT_EQ(batch.end.offset, static_cast<std::int64_t>(Line(1).size())) << damaged;
    EXPECT_TRUE(absl::IsDataLoss(batch.damage)) << damaged << batch.damage;
    EXPECT_THAT(std::string(batch.damage.message()), HasSubstr(path()));
    EXPECT_TRUE(absl::IsDataLoss(Read(batch.end).damage)) << "it stays damaged";
  }
}

TEST_F(EventTailTest, AGapSaysWhichEventIsMissing) {
  WriteText(path(), Line(1) + Line(2) + Line(4));
  EXPECT_THAT(std::string(Read().damage.message()), HasSubstr("the next event is 4 instead of 3"));
}

TEST_F(EventTailTest, SkipsFieldsOfANewerWorker) {
  WriteText(path(), "{\"sequence\": 1, \"newEvent\": {\"x\": [1]}}\n" + Line(2));
  const TailBatch batch = Read();
  EXPECT_TRUE(batch.damage.ok()) << batch.damage;
  EXPECT_THAT(batch.events, SizeIs(2));
}

TEST_F(EventTailTest, AFileThatShrankOrWentIsDamaged) {
  WriteText(path(), Line(1) + Line(2));
  const TailPosition end = Read().end;
  WriteText(path(), Line(1));
  EXPECT_TRUE(absl::IsDataLoss(Read(end).damage));
  std::filesystem::remove(path());
  EXPECT_TRUE(absl::IsDataLoss(Read(end).damage));
}

TEST_F(EventTailTest, ADirectoryInItsPlaceIsDamageAndALinkIsNotFollowed) {
  std::filesystem::create_directory(path());
  EXPECT_TRUE(absl::IsDataLoss(Read().damage));
  std::filesystem::remove(path());
  WriteText(directory_.path() + "/other", Line(1));
  std::filesystem::create_symlink("other", path());
  EXPECT_FALSE(ReadEvents(path(), {}).ok());
}

TEST_F(EventTailTest, ReadsALongFileInPartsAndRefusesAnEndlessLine) {
  const std::string text(kMaxEventBytes / 3, 'x');
  std::string all;
  for (int i = 1; i <= 7; ++i) {
    all += absl::StrCat("{\"sequence\": ", i, ", \"log\": {\"text\": \"", text, "\"}}\n");
  }
  WriteText(path(), all);
  TailPosition position;
  int events = 0;
  int reads = 0;
  for (bool more = true; more; ++reads) {
    const TailBatch batch = Read(position);
    ASSERT_TRUE(batch.damage.ok()) << batch.damage;
    events += static_cast<int>(batch.events.size());
    position = batch.end;
    more = batch.more;
  }
  EXPECT_EQ(events, 7);
  EXPECT_GT(reads, 2);
  WriteText(path(), Line(1) + std::string(2 * kMaxEventBytes, 'x'));
  EXPECT_TRUE(absl::IsDataLoss(Read(Read().end).damage));
}

}  // namespace
}  // namespace petit::serving
