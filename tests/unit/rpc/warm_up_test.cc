// What the loader does besides reading checkpoints.
#include "server/warm_up.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "server/file_digest.h"
#include "tests/unit/rpc/fake_models.h"

namespace petit::serving {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(WarmUpTest, TranslatesInBatchesOfSeveralSizes) {
  ModelSettings settings = FakeSettings("student");
  settings.batching.max_encoder_tokens_per_step = 1'000'000;
  const auto log = std::make_shared<engine::CallLog>();
  EXPECT_TRUE(WarmUp(*MakeFakeModel(settings, 1, {.log = log})).ok());
  std::vector<int> sizes;
  for (const engine::Call& call : log->calls(engine::Call::Kind::kAdmit)) {
    sizes.push_back(static_cast<int>(call.slots.size()));
  }
  EXPECT_THAT(sizes, ElementsAre(1, 4));
}

TEST(WarmUpTest, KeepsToTheSmallestLimits) {
  ModelSettings settings = FakeSettings("student");
  settings.batching.max_rows = 1;
  settings.batching.max_queue_length = 1;
  settings.max_new_tokens_limit = 1;
  settings.prompts.clear();
  EXPECT_TRUE(WarmUp(*MakeFakeModel(settings, 1)).ok());
}

TEST(WarmUpTest, AModelThatCannotTranslateIsNotServed) {
  const auto model =
      MakeFakeModel(FakeSettings("student"), 1,
                    {.before = engine::FailCall(engine::Call::Kind::kStep, 0, absl::InternalError("broken device"))});
  EXPECT_EQ(WarmUp(*model).code(), absl::StatusCode::kInternal);
  ModelSettings settings = FakeSettings("student");
  settings.batching.max_kv_bytes = 1;
  EXPECT_EQ(WarmUp(*MakeFakeModel(settings, 1)).code(), absl::StatusCode::kInvalidArgument);
}

TEST(MutedObserverTest, PassesOnOnlyWhatComesAfterTheWarmUp) {
  const auto heard = std::make_shared<RecordingObserver>();
  const auto muted = std::make_shared<MutedObserver>(heard);
  const auto model = MakeFakeModel(FakeSettings("student"), 1, {.observer = muted});
  ASSERT_TRUE(WarmUp(*model).ok());
  EXPECT_EQ(heard->admitted(), 0);
  muted->Unmute();
  ASSERT_TRUE(WarmUp(*model).ok());
  EXPECT_EQ(heard->admitted(), 1 + 4);
}

class FileDigestTest : public testing::Test {
 protected:
  FileDigestTest() {
    const int file = mkstemp(path_.data());
    EXPECT_GE(file, 0);
    close(file);
  }
  ~FileDigestTest() override { std::remove(path_.c_str()); }

  std::string path_ = testing::TempDir() + "/file_digest_test_XXXXXX";
};

TEST_F(FileDigestTest, IsSha256InHex) {
  // FIPS 180-2's examples: "abc", and a million times "a".
  std::ofstream(path_) << "abc";
  EXPECT_EQ(*FileSha256(path_), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  std::ofstream(path_) << std::string(1'000'000, 'a');
  EXPECT_EQ(*FileSha256(path_), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_F(FileDigestTest, AMissingFileIsNamed) {
  const absl::Status status = FileSha256(path_ + ".none").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
}

}  // namespace
}  // namespace petit::serving
