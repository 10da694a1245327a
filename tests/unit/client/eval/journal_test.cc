#include "client/eval/journal.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace petit::eval {
namespace {

using ::testing::HasSubstr;

class JournalTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::remove_all(directory_); }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<Journal> Open(const std::string& key = "key") {
    absl::StatusOr<std::unique_ptr<Journal>> journal = Journal::Open(directory_, "set.models/1", key);
    EXPECT_TRUE(journal.ok()) << journal.status();
    return journal.ok() ? *std::move(journal) : nullptr;
  }

  const std::string directory_ =
      testing::TempDir() + "journal-" + testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(JournalTest, KeepsRecordsFromOneRunToTheNext) {
  std::unique_ptr<Journal> journal = Open();
  EXPECT_TRUE(journal->Append(3, "three").ok());
  EXPECT_TRUE(journal->Append(1, "one").ok());
  EXPECT_TRUE(journal->Append(3, std::string(10000, 'x')).ok());
  journal = nullptr;
  journal = Open();
  EXPECT_EQ(journal->size(), 2);
  EXPECT_EQ(*journal->Read(1), "one");
  EXPECT_EQ(*journal->Read(3), std::string(10000, 'x')) << "the later counts";
  EXPECT_FALSE(journal->Has(2));
  EXPECT_TRUE(absl::IsNotFound(journal->Read(2).status()));
}

TEST_F(JournalTest, AnotherKeyIsAnotherJournal) {
  std::unique_ptr<Journal> journal = Open();
  EXPECT_TRUE(journal->Append(1, "one").ok());
  const std::unique_ptr<Journal> other = Open("other");
  EXPECT_EQ(other->size(), 0);
}

TEST_F(JournalTest, ARecordThatWasCutOffIsDropped) {
  std::unique_ptr<Journal> journal = Open();
  EXPECT_TRUE(journal->Append(1, "one").ok());
  const std::string path = journal->path();
  journal = nullptr;
  std::ofstream(path, std::ios::app) << "2\ttw";
  journal = Open();
  EXPECT_EQ(journal->size(), 1);
  EXPECT_TRUE(journal->Append(2, "two").ok());
  EXPECT_EQ(*journal->Read(2), "two");
  journal = nullptr;
  EXPECT_EQ(*Open()->Read(2), "two");
}

TEST_F(JournalTest, DamageIsAnErrorThatNamesTheFile) {
  std::unique_ptr<Journal> journal = Open();
  const std::string path = journal->path();
  journal = nullptr;
  std::ofstream(path, std::ios::app) << "not a record\n";
  const absl::Status status = Journal::Open(directory_, "set.models/1", "key").status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr(path));
}

TEST_F(JournalTest, TwoRunsCannotShareOne) {
  const std::unique_ptr<Journal> journal = Open();
  const absl::Status status = Journal::Open(directory_, "set.models/1", "key").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

TEST_F(JournalTest, ClearDropsTheRecordsForGood) {
  std::unique_ptr<Journal> journal = Open();
  EXPECT_TRUE(journal->Append(1, "one").ok());
  EXPECT_TRUE(journal->Clear().ok());
  EXPECT_EQ(journal->size(), 0);
  EXPECT_TRUE(journal->Append(2, "two").ok());
  journal = nullptr;
  journal = Open();
  EXPECT_FALSE(journal->Has(1));
  EXPECT_EQ(*journal->Read(2), "two");
}

}  // namespace
}  // namespace petit::eval
