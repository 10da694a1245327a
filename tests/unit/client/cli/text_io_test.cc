#include "client/cli/text_io.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/cli/run_cli.h"

namespace petit::cli {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> ReadAll(const std::string& text, std::size_t max_line_bytes = 1 << 20) {
  const TempFile temp(text);
  const auto file = InputFile::Open(temp.path());
  EXPECT_TRUE(file.ok()) << file.status();
  LineReader reader(file->fd(), {-1, -1}, max_line_bytes);
  std::vector<std::string> lines;
  std::int64_t bytes = 0;
  while (true) {
    const auto line = reader.Next();
    EXPECT_TRUE(line.ok()) << line.status();
    if (!line.ok() || !*line) break;
    lines.push_back((*line)->too_long ? "TOO LONG" : (*line)->text);
    bytes += (*line)->bytes;
    EXPECT_EQ((*line)->number, static_cast<std::int64_t>(lines.size()));
  }
  EXPECT_EQ(bytes, static_cast<std::int64_t>(text.size()));
  return lines;
}

TEST(LineReader, SplitsLines) {
  EXPECT_THAT(ReadAll(""), ElementsAre());
  EXPECT_THAT(ReadAll("\n"), ElementsAre(""));
  EXPECT_THAT(ReadAll("a\n\nb\n"), ElementsAre("a", "", "b"));
  EXPECT_THAT(ReadAll("a\nb"), ElementsAre("a", "b"));
}

TEST(LineReader, KnowsOtherSystemsLines) {
  EXPECT_THAT(ReadAll("\xEF\xBB\xBF"
                      "a\r\n\r\nb\r\n"),
              ElementsAre("a", "", "b"));
  EXPECT_THAT(ReadAll("a\n\xEF\xBB\xBF"
                      "b"),
              ElementsAre("a",
                          "\xEF\xBB\xBF"
                          "b"));
}

TEST(LineReader, ReadsLinesLongerThanItsBuffer) {
  const std::string longest(300000, 'x');
  EXPECT_THAT(ReadAll("a\n" + longest + "\nb\n" + longest), ElementsAre("a", longest, "b", longest));
}

TEST(LineReader, SkipsWhatIsTooLong) {
  const std::string longest(300000, 'x');
  EXPECT_THAT(ReadAll("a\n" + longest + "\nb\n" + longest, 1000), ElementsAre("a", "TOO LONG", "b", "TOO LONG"));
  EXPECT_THAT(ReadAll(std::string(10, 'x') + "\n" + std::string(11, 'x'), 10),
              ElementsAre(std::string(10, 'x'), "TOO LONG"));
}

TEST(LineReader, EndsWhenInterrupted) {
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  const int interrupt = eventfd(0, 0);
  LineReader reader(pipe_fds[0], {-1, interrupt});
  ASSERT_EQ(write(pipe_fds[1], "whole\npart", 10), 10);
  EXPECT_EQ((*reader.Next())->text, "whole");
  std::thread other([&] { ASSERT_EQ(eventfd_write(interrupt, 1), 0); });
  EXPECT_EQ(*reader.Next(), std::nullopt);  // blocks until then
  other.join();
  for (const int fd : {pipe_fds[0], pipe_fds[1], interrupt}) close(fd);
}

TEST(InputFile, SaysWhatCannotBeRead) {
  EXPECT_EQ(InputFile::Open("/no/such/file").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(InputFile::Open("/").status().message(), "/ is a directory; a file is wanted");
}

TEST(FindInvalidUtf8, AcceptsWhatIsValid) {
  for (const char* text : {"", "abc", "L'\xC3\xA9t\xC3\xA9", "\xE2\x82\xAC", "\xED\x9F\xBF", "\xEE\x80\x80",
                           "\xF0\x9F\x98\x80", "\xF4\x8F\xBF\xBF", "\x7F"}) {
    EXPECT_EQ(FindInvalidUtf8(text), std::nullopt) << text;
  }
}

TEST(FindInvalidUtf8, FindsTheFirstBadByte) {
  EXPECT_EQ(FindInvalidUtf8("ab\xFF"), 2);
  EXPECT_EQ(FindInvalidUtf8("\x80"), 0);              // a continuation alone
  EXPECT_EQ(FindInvalidUtf8("a\xC3"), 1);             // cut off
  EXPECT_EQ(FindInvalidUtf8("a\xE2\x82"), 1);         // cut off
  EXPECT_EQ(FindInvalidUtf8("\xC0\xAF"), 0);          // overlong
  EXPECT_EQ(FindInvalidUtf8("\xE0\x9F\xBF"), 0);      // overlong
  EXPECT_EQ(FindInvalidUtf8("\xF0\x8F\xBF\xBF"), 0);  // overlong
  EXPECT_EQ(FindInvalidUtf8("\xED\xA0\x80"), 0);      // surrogate
  EXPECT_EQ(FindInvalidUtf8("\xF4\x90\x80\x80"), 0);  // beyond U+10FFFF
  EXPECT_EQ(FindInvalidUtf8("\xF5\x80\x80\x80"), 0);
  EXPECT_EQ(FindInvalidUtf8("\xC3\xA9\xC3("), 2);
}

TEST(IsBlank, SeesWhiteSpace) {
  EXPECT_TRUE(IsBlank(""));
  EXPECT_TRUE(IsBlank(" \t\r\n"));
  EXPECT_FALSE(IsBlank(" a "));
}

TEST(OnOneLine, TakesLineBreaksOut) { EXPECT_EQ(OnOneLine("a\nb\r\nc"), "a b  c"); }

}  // namespace
}  // namespace petit::cli
