#include "client/data/input_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>

#include "client/data/sha256.h"
#include "tests/unit/data/compress.h"
#include "tests/unit/data/temporary_directory.h"

namespace petit::data {
namespace {

using namespace std::string_view_literals;
using testing::HasSubstr;

struct Content {
  std::string text;
  std::size_t largest_piece = 0;
  absl::Status status;
};

Content ReadAll(const std::string& path, const InputFileOptions& options = {}) {
  Content content;
  const auto file = InputFile::Open(path, options);
  content.status = file.status();
  while (content.status.ok()) {
    const auto bytes = (*file)->Read();
    content.status = bytes.status();
    if (!bytes.ok() || bytes->empty()) break;
    content.text += *bytes;
    content.largest_piece = std::max(content.largest_piece, bytes->size());
  }
  return content;
}

std::string Sha256(std::string_view bytes) {
  Sha256Digest digest;
  digest.Update(bytes);
  return *digest.Finish();
}

// Text that does not compress to nothing.
std::string Lines(int count) {
  std::string text;
  unsigned state = 1;
  for (int i = 0; i < count; ++i) {
    state = state * 1664525U + 1013904223U;
    text += "line " + std::to_string(state) + "\n";
  }
  return text;
}

TEST(InputFileTest, ReadsWhatIsPlain) {
  const TemporaryDirectory home;
  EXPECT_EQ(ReadAll(home.Write("empty", "")).text, "");
  EXPECT_EQ(ReadAll(home.Write("short", "a")).text, "a");
  EXPECT_EQ(ReadAll(home.Write("long", Lines(50000))).text, Lines(50000));
  EXPECT_EQ(ReadAll(home.Write("not-gzip.gz", "a\tb\n")).text, "a\tb\n");
}

TEST(InputFileTest, SaysWhatCannotBeRead) {
  const TemporaryDirectory home;
  const std::string nowhere = (home.path() / "nowhere").string();
  EXPECT_EQ(ReadAll(nowhere).status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(ReadAll(nowhere).status.message()), HasSubstr(nowhere));
  EXPECT_EQ(ReadAll(home.path().string()).status.message(), home.path().string() + " is a directory; a file is wanted");
}

TEST(InputFileTest, SaysWhatContainersAreNotRead) {
  const TemporaryDirectory home;
  EXPECT_THAT(std::string(ReadAll(home.Write("a", Zip({{"x", "y"}}))).status.message()), HasSubstr("is a zip archive"));
  EXPECT_THAT(std::string(ReadAll(home.Write("b", "PAR1....")).status.message()), HasSubstr("is a Parquet file"));
}

class CompressedFileTest : public testing::TestWithParam<std::string> {
 protected:
  TemporaryDirectory home_;
};

TEST_P(CompressedFileTest, IsReadByContentNotByName) {
  EXPECT_EQ(ReadAll(home_.Write("a.tsv", Compress("one\ntwo\n", GetParam()))).text, "one\ntwo\n");
  EXPECT_EQ(ReadAll(home_.Write("b", Compress(Lines(50000), GetParam()))).text, Lines(50000));
}

TEST_P(CompressedFileTest, MayHoldNothing) {
  const Content content = ReadAll(home_.Write("a", Compress("", GetParam())));
  EXPECT_TRUE(content.status.ok()) << content.status;
  EXPECT_EQ(content.text, "");
}

TEST_P(CompressedFileTest, MayBeSeveralInOne) {
  const std::string two = Compress("one\n", GetParam()) + Compress("two\n", GetParam());
  const Content content = ReadAll(home_.Write("a", two));
  EXPECT_TRUE(content.status.ok()) << content.status;
  EXPECT_EQ(content.text, "one\ntwo\n");
}

TEST_P(CompressedFileTest, CutOffAnywhereIsAnErrorThatNamesTheFile) {
  const std::string whole = Compress(Lines(300), GetParam());
  for (std::size_t size = 6; size < whole.size(); size += size < 40 || size + 40 > whole.size() ? 1 : 97) {
    const std::string path = home_.Write("a", whole.substr(0, size));
    const Content content = ReadAll(path);
    EXPECT_EQ(content.status.code(), absl::StatusCode::kDataLoss) << size << " of " << whole.size();
    EXPECT_THAT(std::string(content.status.message()), HasSubstr(path));
  }
}

TEST_P(CompressedFileTest, ComesInPiecesHoweverMuchItUnpacksTo) {
  const Content content = ReadAll(home_.Write("bomb", Compress(std::string(32 << 20, 'x'), GetParam())));
  EXPECT_TRUE(content.status.ok()) << content.status;
  EXPECT_EQ(content.text.size(), 32 << 20);
  EXPECT_LE(content.largest_piece, 1 << 20);
}

TEST_P(CompressedFileTest, IsDigestedAsItLiesThere) {
  const std::string bytes = Compress(Lines(50000), GetParam());
  const auto file = InputFile::Open(home_.Write("a", bytes), {.interrupt_fd = -1, .digest = true});
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE((*file)->Read().ok());  // of which the rest is not wanted
  EXPECT_EQ(*(*file)->Finish(), Sha256(bytes));
}

INSTANTIATE_TEST_SUITE_P(Kinds, CompressedFileTest, testing::Values("gzip", "xz", "zstd"),
                         [](const auto& info) { return info.param; });

// However it comes out, it is not taken for good. `whole` has checksums.
void ExpectFlippedBitsAreSeen(const TemporaryDirectory& home, const std::string& whole, std::size_t step) {
  const std::string text = ReadAll(home.Write("a", whole)).text;
  int errors = 0;
  int tries = 0;
  for (std::size_t at = 6; at < whole.size(); at += step, ++tries) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    const Content content = ReadAll(home.Write("a", damaged));
    if (content.status.ok()) {
      EXPECT_EQ(content.text, text) << "byte " << at;
    } else {
      ++errors;
    }
  }
  EXPECT_GT(errors, tries / 2);
}

TEST(InputFileTest, ABitThatFlippedIsAnErrorOrChangesNothing) {
  const TemporaryDirectory home;
  ExpectFlippedBitsAreSeen(home, Compress(Lines(300), "gzip"), 41);
  ExpectFlippedBitsAreSeen(home, Compress(Lines(300), "xz"), 41);
  // libarchive's zstd has no checksum; the program's has.
  const std::string_view zstd =
      "\x28\xB5\x2F\xFD\x04\x58\x41\x00\x00\x61\x09\x41\x0A\x62\x09\x42\x0A\x6C\xB8\x59\xD5"sv;
  EXPECT_EQ(ReadAll(home.Write("a", zstd)).text, "a\tA\nb\tB\n");
  ExpectFlippedBitsAreSeen(home, std::string(zstd), 1);
}

TEST(GzipFileTest, MayBePaddedWithZerosButNotFollowedByOtherThings) {
  const TemporaryDirectory home;
  const std::string gzip = Compress("one\n", "gzip");
  EXPECT_EQ(ReadAll(home.Write("a", gzip + std::string(100, '\0'))).text, "one\n");
  EXPECT_EQ(ReadAll(home.Write("b", gzip + "junk")).status.code(), absl::StatusCode::kDataLoss);
}

TEST(PlainFileTest, IsDigested) {
  const TemporaryDirectory home;
  const auto file = InputFile::Open(home.Write("a", "abc"), {.interrupt_fd = -1, .digest = true});
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(*(*file)->Finish(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

// A pipe that nobody has opened for writing, and one that a writer keeps open.
TEST(InputFileTest, AnInterruptEndsWaiting) {
  const TemporaryDirectory home;
  const std::string path = (home.path() / "pipe").string();
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const int interrupt = eventfd(0, 0);
  std::thread other([&] { ASSERT_EQ(eventfd_write(interrupt, 1), 0); });
  EXPECT_EQ(ReadAll(path, {.interrupt_fd = interrupt, .digest = false}).status.code(), absl::StatusCode::kCancelled);
  other.join();
  close(interrupt);
}

TEST(InputFileTest, AnInterruptEndsUnpacking) {
  const TemporaryDirectory home;
  const int interrupt = eventfd(0, 0);
  for (const char* filter : {"gzip", "xz", "zstd"}) {
    const std::string path = home.Write("a", Compress(std::string(32 << 20, 'x'), filter));
    const auto file = InputFile::Open(path, {.interrupt_fd = interrupt, .digest = false});
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_TRUE((*file)->Read().ok());
    ASSERT_EQ(eventfd_write(interrupt, 1), 0);
    EXPECT_EQ((*file)->Read().status().code(), absl::StatusCode::kCancelled) << filter;
    eventfd_t value = 0;
    ASSERT_EQ(eventfd_read(interrupt, &value), 0);
  }
  close(interrupt);
}

TEST(InputFileTest, ReadsAPipe) {
  const TemporaryDirectory home;
  const std::string path = (home.path() / "pipe").string();
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const std::string bytes = Compress(Lines(20000), "zstd");
  std::thread writer([&] { home.Write("pipe", bytes); });
  EXPECT_EQ(ReadAll(path).text, Lines(20000));
  writer.join();
}

}  // namespace
}  // namespace petit::data
