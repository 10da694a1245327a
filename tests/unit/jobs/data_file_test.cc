#include "server/jobs/data_file.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace petit::serving {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// "root" holds the data; "outside" lies beside it.
class DataFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "petit_data_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    base_ = std::filesystem::canonical(pattern);
    std::filesystem::create_directories(base_ / "root" / "sub");
    std::filesystem::create_directories(base_ / "outside");
    Write("good.tsv", "a house\tune maison\n");
    std::ofstream(base_ / "outside" / "secret.tsv") << "a\tb\n";
  }
  void TearDown() override { std::filesystem::remove_all(base_); }

  void Write(const std::string& name, absl::string_view text) {
    std::ofstream(base_ / "root" / name, std::ios::binary)
        .write(text.data(), static_cast<std::streamsize>(text.size()));
  }

  absl::StatusOr<DataFile> Open(const std::string& path) { return DataFile::Open(base_ / "root", path); }
  std::string OpenError(const std::string& path) {
    const auto file = Open(path);
    EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument) << path << ": " << file.status();
    return std::string(file.status().message());
  }

  // Writes the text to a file and counts its pairs.
  absl::StatusOr<std::int64_t> Count(absl::string_view text) {
    Write("x.tsv", text);
    absl::StatusOr<DataFile> file = Open("x.tsv");
    if (!file.ok()) return file.status();
    return file->CountPairs();
  }
  std::string CountError(absl::string_view text) {
    const auto count = Count(text);
    EXPECT_EQ(count.status().code(), absl::StatusCode::kInvalidArgument) << count.status();
    return std::string(count.status().message());
  }

  std::filesystem::path base_;
};

TEST_F(DataFileTest, OpensFilesBelowTheRoot) {
  Write("sub/deep.tsv", "a\tb\n");
  for (const char* path : {"good.tsv", "./good.tsv", "sub/../good.tsv", "sub//deep.tsv"}) {
    const auto file = Open(path);
    ASSERT_TRUE(file.ok()) << path << ": " << file.status();
    EXPECT_THAT(file->real_path(), StartsWith((base_ / "root").string() + "/"));
    EXPECT_THAT(file->real_path(), Not(HasSubstr(".."))) << path;
  }
}

TEST_F(DataFileTest, RefusesPathsThatLeadOutOfTheRoot) {
  EXPECT_THAT(OpenError("/etc/passwd"), HasSubstr("is absolute"));
  EXPECT_THAT(OpenError((base_ / "root" / "good.tsv").string()), HasSubstr("is absolute"));
  for (const char* path : {"..", "../outside/secret.tsv", "sub/../../outside/secret.tsv", "./../root/good.tsv"}) {
    EXPECT_THAT(OpenError(path), HasSubstr("leads out of")) << path;
  }
}

TEST_F(DataFileTest, SaysNothingOfWhatIsOutside) {
  EXPECT_EQ(OpenError("../outside/secret.tsv").substr(24), OpenError("../outside/nothing.tsv").substr(25));
}

TEST_F(DataFileTest, FollowsSymbolicLinksAndRefusesThoseThatLeadOut) {
  std::filesystem::create_symlink(base_ / "root" / "good.tsv", base_ / "root" / "inner.tsv");
  std::filesystem::create_symlink("../good.tsv", base_ / "root" / "sub" / "relative.tsv");
  std::filesystem::create_symlink(base_ / "outside" / "secret.tsv", base_ / "root" / "out.tsv");
  std::filesystem::create_directory_symlink(base_ / "outside", base_ / "root" / "outdir");
  std::filesystem::create_symlink("loop.tsv", base_ / "root" / "loop.tsv");
  std::filesystem::create_symlink("gone.tsv", base_ / "root" / "dangling.tsv");
  for (const char* path : {"inner.tsv", "sub/relative.tsv"}) {
    const auto file = Open(path);
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(file->real_path(), (base_ / "root" / "good.tsv").string());
  }
  for (const char* path : {"out.tsv", "outdir/secret.tsv", "outdir"}) {
    EXPECT_THAT(OpenError(path), HasSubstr("by a symbolic link")) << path;
  }
  // Normalized as text, these two stay below the root; as the system reads them, they do not.
  EXPECT_THAT(OpenError("outdir/../outside/secret.tsv"), HasSubstr("by a symbolic link"));
  EXPECT_THAT(OpenError("loop.tsv"), HasSubstr("cannot be opened"));
  EXPECT_THAT(OpenError("dangling.tsv"), HasSubstr("No such file"));
}

TEST_F(DataFileTest, ARootWithALongerNeighbourIsNoPrefix) {
  std::filesystem::create_directories(base_ / "root-not");
  std::ofstream(base_ / "root-not" / "a.tsv") << "a\tb\n";
  std::filesystem::create_directory_symlink(base_ / "root-not", base_ / "root" / "link");
  EXPECT_THAT(OpenError("link/a.tsv"), HasSubstr("by a symbolic link"));
}

TEST_F(DataFileTest, OpensRegularFilesOnly) {
  ASSERT_EQ(mkfifo((base_ / "root" / "pipe").c_str(), 0600), 0);
  const int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string name = (base_ / "root" / "socket").string();
  ASSERT_LT(name.size(), sizeof(address.sun_path));
  std::memcpy(address.sun_path, name.c_str(), name.size());
  ASSERT_EQ(bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_THAT(OpenError("pipe"), HasSubstr("no regular file"));
  EXPECT_THAT(OpenError("socket"), HasSubstr("no regular file"));
  close(descriptor);
  EXPECT_THAT(OpenError("sub"), HasSubstr("is a directory"));
  EXPECT_THAT(OpenError("."), HasSubstr("is a directory"));
  EXPECT_THAT(OpenError("good.tsv/"), HasSubstr("Not a directory"));
  EXPECT_THAT(OpenError("good.tsv/x"), HasSubstr("Not a directory"));
  EXPECT_THAT(OpenError("gone.tsv"), HasSubstr("No such file"));
}

TEST_F(DataFileTest, RefusesNamesThatNoFileHas) {
  EXPECT_THAT(OpenError(std::string("good.tsv\0.txt", 13)), HasSubstr("NUL"));
  EXPECT_THAT(OpenError(std::string(5000, 'a')), HasSubstr("name too long"));
  EXPECT_THAT(OpenError("a\nb"), Not(HasSubstr("\n")));
}

TEST_F(DataFileTest, ARootThatIsGoneIsTheOperatorsMatter) {
  EXPECT_EQ(DataFile::Open(base_ / "gone", "a.tsv").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(DataFileTest, CountsPairs) {
  for (const auto& [text, pairs] : {std::pair{absl::string_view("a\tb\n"), 1},
                                    {"a\tb", 1},
                                    {"a\tb\nc\td\n", 2},
                                    {"a\tb\nc\td", 2},
                                    {" \xc3\xa9 \t \xea\xb0\x80\n", 1}}) {
    const auto count = Count(text);
    ASSERT_TRUE(count.ok()) << count.status();
    EXPECT_EQ(*count, pairs) << text;
  }
}

TEST_F(DataFileTest, CountsPairsAcrossItsReads) {
  std::string text;
  const std::string line = absl::StrCat(std::string(1000, 'a'), "\t", std::string(777, 'b'), "\n");
  for (int i = 0; i < 3000; ++i) text += line;  // 5 MB
  const auto count = Count(text);
  ASSERT_TRUE(count.ok()) << count.status();
  EXPECT_EQ(*count, 3000);
  EXPECT_THAT(CountError(text + "no tab"), StartsWith("x.tsv:3001: "));
}

TEST_F(DataFileTest, NamesTheLineThatIsWrong) {
  const std::string good = "a\tb\n";
  for (const auto& [bad, what] : {std::pair{std::string("no tab"), "one column"},
                                  {"", "one column"},
                                  {"a\tb\tc", "more than two columns"},
                                  {"a\tb\r", "carriage return"},
                                  {std::string("a\tb\0", 4), "NUL"},
                                  {"a\tb\xff", "not UTF-8 at byte 4"},
                                  {"a\t\xed\xa0\x80", "not UTF-8 at byte 3"},
                                  {"\tb", "nothing in its first column"},
                                  {"a\t", "nothing in its second column"},
                                  {"  \tb", "nothing in its first column"}}) {
    EXPECT_THAT(CountError(good + good + bad + "\n" + good), AllOf(StartsWith("x.tsv:3: "), HasSubstr(what))) << bad;
    if (bad.empty()) continue;
    EXPECT_THAT(CountError(good + bad), AllOf(StartsWith("x.tsv:2: "), HasSubstr(what))) << bad;
  }
}

TEST_F(DataFileTest, RefusesAByteOrderMark) {
  EXPECT_THAT(CountError("\xef\xbb\xbf"
                         "a\tb\n"),
              AllOf(StartsWith("x.tsv:1: "), HasSubstr("byte order mark")));
}

TEST_F(DataFileTest, RefusesAnEmptyFile) { EXPECT_THAT(CountError(""), HasSubstr("is empty")); }

TEST_F(DataFileTest, ALineHasAMebibyte) {
  const std::string longest = "a\t" + std::string((1 << 20) - 2, 'b');
  EXPECT_TRUE(Count(longest + "\n" + longest).ok());
  EXPECT_THAT(CountError("a\tb\n" + longest + "b\na\tb\n"), AllOf(StartsWith("x.tsv:2: "), HasSubstr("longer than")));
  EXPECT_THAT(CountError("a\tb\n" + longest + "b"), AllOf(StartsWith("x.tsv:2: "), HasSubstr("longer than")));
}

TEST_F(DataFileTest, DoesNotReadAHugeLineToItsEnd) {
  Write("huge.tsv", "a\tb\n");
  // Sparse: a line of a tebibyte of NULs, which nothing could read within a test.
  std::filesystem::resize_file(base_ / "root" / "huge.tsv", std::uintmax_t{1} << 40);
  absl::StatusOr<DataFile> file = Open("huge.tsv");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(std::string(file->CountPairs().status().message()),
              AllOf(StartsWith("huge.tsv:2: "), HasSubstr("longer than 1048576 bytes")));
}

}  // namespace
}  // namespace petit::serving
