#include "server/registry/version_store.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/registry/fake_loader.h"

namespace petit::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class VersionStoreTest : public ::testing::Test {
 protected:
  std::string root() const { return directory_.path(); }
  void WriteFile(const std::string& name, const std::string& text) { std::ofstream(root() + "/" + name) << text; }

  TemporaryDirectory directory_;
};

TEST_F(VersionStoreTest, AVersionIsAPositiveNumberThatHoldsAConfig) {
  for (const char* name : {"1", "2", "10", "03", "0", "-4", "+5", "6x", "x", " 7", "99999999999999999999"}) {
    std::filesystem::create_directories(root() + "/" + name);
    WriteFile(std::string(name) + "/config.json", "{}");
  }
  std::filesystem::create_directories(root() + "/8");  // still being written
  WriteFile("9", "a file");
  EXPECT_THAT(ListVersions(root()), ElementsAre(1, 2, 10));
  EXPECT_TRUE(IsVersion(root(), 10));
  for (const std::int64_t version : {0, -4, 3, 8, 9}) EXPECT_FALSE(IsVersion(root(), version)) << version;
}

TEST_F(VersionStoreTest, AMissingRootHasNoVersions) { EXPECT_THAT(ListVersions(root() + "/gone"), IsEmpty()); }

TEST_F(VersionStoreTest, RemembersTheServedVersion) {
  EXPECT_TRUE(absl::IsNotFound(ReadServedVersion(root()).status()));
  ASSERT_TRUE(WriteServedVersion(root(), 3).ok());
  EXPECT_EQ(*ReadServedVersion(root()), 3);
  ASSERT_TRUE(WriteServedVersion(root(), 12345678901).ok());
  EXPECT_EQ(*ReadServedVersion(root()), 12345678901);
  std::ostringstream text;
  text << std::ifstream(root() + "/SERVED_VERSION").rdbuf();
  EXPECT_EQ(text.str(), "12345678901\n");
  // Nothing else is left behind.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(root()), std::filesystem::directory_iterator()), 1);
}

TEST_F(VersionStoreTest, ADamagedFileIsDataLossAndSaysWhatToDo) {
  for (const std::string& text : {std::string(), std::string("two"), std::string("0"), std::string("-1"),
                                  std::string("1 2"), std::string("\0\0\0\0", 4), std::string(100, '1')}) {
    WriteFile("SERVED_VERSION", text);
    const absl::Status status = ReadServedVersion(root()).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("delete it or set the version again"));
  }
}

TEST_F(VersionStoreTest, AFileThatCannotBeReadOrWrittenIsAnError) {
  std::filesystem::create_directories(root() + "/SERVED_VERSION/inside");
  const absl::Status read = ReadServedVersion(root()).status();
  EXPECT_FALSE(read.ok());
  EXPECT_FALSE(absl::IsNotFound(read));
  EXPECT_FALSE(WriteServedVersion(root(), 1).ok());
  EXPECT_TRUE(absl::IsNotFound(WriteServedVersion(root() + "/gone", 1)));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(root()), std::filesystem::directory_iterator()), 1)
      << "a temporary file was left behind";
}

}  // namespace
}  // namespace petit::serving
