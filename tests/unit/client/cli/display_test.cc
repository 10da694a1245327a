// What is drawn for people: tables, progress, completion of commands.
#include <array>
#include <cstdio>
#include <sstream>
#include <string>

#include "client/cli/progress.h"
#include "client/cli/table.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/client/cli/run_cli.h"

namespace petit::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(Table, AlignsColumnsAndLeavesNoTrailingSpace) {
  Table table({{.title = "NAME"}, {.title = "N", .align = Table::Align::kRight}, {.title = "NOTE"}});
  table.AddRow({"\xC3\xA9t\xC3\xA9", "7", ""});
  table.AddRow({"winter", "1234", "cold", "too many"});
  table.AddRow({"x"});
  EXPECT_EQ(table.Format(),
            "NAME       N  NOTE\n"
            "\xC3\xA9t\xC3\xA9        7\n"
            "winter  1234  cold\n"
            "x\n");
}

TEST(FormatBytes, ScalesByThousands) {
  EXPECT_EQ(FormatBytes(0), "-");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1000), "1.0 kB");
  EXPECT_EQ(FormatBytes(77'450'000), "77.5 MB");
  EXPECT_EQ(FormatBytes(999'999'999), "1.0 GB");
  EXPECT_EQ(FormatCount(60'506'624), "60.5 M");
  EXPECT_EQ(FormatCount(500), "500");
}

TEST(Progress, DrawsShareRateAndTimeLeft) {
  std::ostringstream stream;
  const absl::Time start = absl::UnixEpoch();
  {
    Progress progress(stream, {.label = "translating", .total = 1000, .enabled = true}, start);
    progress.Update(10, 100, start + absl::Milliseconds(100));  // too early to be worth a line
    EXPECT_THAT(stream.str(), IsEmpty());
    progress.Update(50, 500, start + absl::Seconds(5));
    EXPECT_EQ(stream.str(), "\rtranslating [###############---------------]  50%  50 lines, 10/s, 5s left\x1b[K");
    progress.Update(51, 510, start + absl::Seconds(5) + absl::Milliseconds(50));  // ten times a second are enough
    EXPECT_THAT(stream.str(), Not(HasSubstr("51 lines")));
  }
  EXPECT_TRUE(stream.str().ends_with("\r\x1b[K"));
}

TEST(Progress, HasNoBarWithoutATotal) {
  std::ostringstream stream;
  const absl::Time start = absl::UnixEpoch();
  Progress progress(stream, {.label = "translating", .enabled = true}, start);
  progress.Update(5, 100, start + absl::Seconds(2));
  EXPECT_EQ(stream.str(), "\rtranslating 5 lines, 2.5/s\x1b[K");
}

TEST(Progress, IsSilentWhereThereIsNoTerminal) {
  std::ostringstream stream;
  const absl::Time start = absl::UnixEpoch();
  {
    Progress progress(stream, {.label = "translating", .total = 10, .enabled = false}, start);
    progress.Update(5, 5, start + absl::Seconds(5));
  }
  EXPECT_THAT(stream.str(), IsEmpty());
}

TEST(FormatRemaining, RoundsUp) {
  EXPECT_EQ(FormatRemaining(absl::Milliseconds(300)), "1s");
  EXPECT_EQ(FormatRemaining(absl::Seconds(59)), "59s");
  EXPECT_EQ(FormatRemaining(absl::Seconds(185)), "3m 05s");
  EXPECT_EQ(FormatRemaining(absl::Minutes(127)), "2h 07m");
}

// What bash offers for a line whose last word is being typed.
std::string Complete(const std::string& words, int index) {
  const TempFile script(RunCli({"completion", "bash"}).out);
  const std::string command = "bash -c 'source " + script.path() + "; COMP_WORDS=(" + words +
                              "); COMP_CWORD=" + std::to_string(index) +
                              "; _petit; printf \"%s \" \"${COMPREPLY[@]}\"' 2>&1";
  FILE* const pipe = popen(command.c_str(), "r");
  std::array<char, 4096> buffer;
  std::string output;
  while (fgets(buffer.data(), buffer.size(), pipe) != nullptr) output += buffer.data();
  EXPECT_EQ(pclose(pipe), 0);
  return output;
}

TEST(BashCompletion, CompletesCommandsFlagsAndWords) {
  EXPECT_EQ(Complete("petit tr", 1), "translate ");
  EXPECT_EQ(Complete("petit mo", 1), "models ");
  EXPECT_EQ(Complete("petit models \"\"", 2), "list get load unload serve-version -h --help ");
  EXPECT_EQ(Complete("petit models se", 2), "serve-version ");
  EXPECT_EQ(Complete("petit jobs \"\"", 2), "create list get watch publish cancel delete -h --help ");
  EXPECT_EQ(Complete("petit jobs watch --a", 3), "--after ");
  EXPECT_EQ(Complete("petit translate --len", 2), "--length-penalty ");
  EXPECT_EQ(Complete("petit translate --quiet --bea", 3), "--beams ");
  EXPECT_EQ(Complete("petit models load --ver", 3), "--version ");
  EXPECT_EQ(Complete("petit completion z", 2), "zsh ");
  EXPECT_EQ(Complete("petit nothing-like-it", 1), " ");
}

TEST(BashCompletion, CompletesFilesWhereFilesAreWanted) {
  const TempFile file("");
  EXPECT_EQ(Complete("petit translate --file " + file.path(), 3), file.path() + " ");
  EXPECT_EQ(Complete("petit jobs create --spec " + file.path(), 4), file.path() + " ");
  EXPECT_EQ(Complete("petit score x " + file.path(), 3), file.path() + " ");
  EXPECT_EQ(Complete("petit eval " + file.path(), 2), file.path() + " ");
  EXPECT_EQ(Complete("petit translate --beams " + file.path(), 3), " ");
}

TEST(Completion, OfOtherShellsNamesEveryCommand) {
  for (const char* shell : {"zsh", "fish"}) {
    const CliResult result = RunCli({"completion", shell});
    EXPECT_EQ(result.code, kExitOk);
    for (const char* word : {"translate", "serve-version", "length-penalty", "eval", "completion"}) {
      EXPECT_THAT(result.out, HasSubstr(word)) << shell;
    }
  }
  EXPECT_EQ(RunCli({"completion", "csh"}).code, kExitUsage);
}

}  // namespace
}  // namespace petit::cli
