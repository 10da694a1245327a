#include "client/data/pair_reader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/unit/data/compress.h"
#include "tests/unit/data/temporary_directory.h"

namespace petit::data {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;
using testing::HasSubstr;

class PairReaderTest : public testing::Test {
 protected:
  // "source|reference" of each pair, or the error's words without the directory.
  std::vector<std::string> Pairs(const PairFiles& files) {
    std::vector<std::string> pairs;
    auto reader = PairReader::Open(files);
    if (!reader.ok()) return {Words(reader.status())};
    while (true) {
      const auto pair = reader->Next();
      if (!pair.ok()) {
        pairs.push_back(Words(pair.status()));
        return pairs;
      }
      if (!*pair) return pairs;
      pairs.push_back((*pair)->source + "|" + (*pair)->reference);
      if (!(*pair)->problem.ok()) pairs.back() += "|" + std::string((*pair)->problem.message());
    }
  }
  PairFiles File(const std::string& name, std::string_view content) {
    PairFiles files;
    files.pairs = home_.Write(name, content);
    return files;
  }
  PairFiles TwoFiles(std::string_view source, std::string_view reference) {
    PairFiles files;
    files.source = home_.Write("s", source);
    files.reference = home_.Write("r", reference);
    return files;
  }
  std::string Words(const absl::Status& status) {
    std::string words(status.message());
    const std::string directory = home_.path().string() + "/";
    for (std::size_t at = 0; (at = words.find(directory)) != std::string::npos;) words.erase(at, directory.size());
    return words;
  }
  // Both ways of reading say the same.
  std::string Error(const PairFiles& files) {
    const std::string inspected = Words(InspectPairs(files).status());
    const std::vector<std::string> pairs = Pairs(files);
    EXPECT_EQ(pairs.empty() ? "" : pairs.back(), inspected);
    return inspected;
  }

  TemporaryDirectory home_;
};

TEST_F(PairReaderTest, ReadsTabSeparatedPairs) {
  EXPECT_THAT(Pairs(File("a.tsv", "a\tA\nb\tB")), ElementsAre("a|A", "b|B"));
  PairFiles swapped = File("a.tsv", "a\tA\nb\tB\n");
  swapped.swap_columns = true;
  EXPECT_THAT(Pairs(swapped), ElementsAre("A|a", "B|b"));
}

TEST_F(PairReaderTest, ReadsOtherSystemsLines) {
  EXPECT_THAT(Pairs(File("a.tsv",
                         "\xEF\xBB\xBF"
                         "a\tA\r\nb\tB\r\n")),
              ElementsAre("a|A", "b|B"));
  EXPECT_THAT(Pairs(TwoFiles("\xEF\xBB\xBF"
                             "a\r\nb\r\n",
                             "A\nB\n")),
              ElementsAre("a|A", "b|B"));
}

TEST_F(PairReaderTest, ReadsTwoFiles) {
  EXPECT_THAT(Pairs(TwoFiles("a\ta\nb\n", "A\nB\n")), ElementsAre("a\ta|A", "b|B"));
  PairFiles mixed;
  mixed.source = home_.Write("s.gz", Compress("a\nb\n", "gzip"));
  mixed.reference = home_.Write("r.xz", Compress("A\nB\n", "xz"));
  EXPECT_THAT(Pairs(mixed), ElementsAre("a|A", "b|B"));
}

TEST_F(PairReaderTest, ReadsCompressedFilesAndTellsTheFormatBelowTheirSuffix) {
  const std::string jsonl = R"({"source": "a", "target": "A"})"s + "\n";
  for (const char* name : {"x.jsonl", "x.ndjson", "x.json", "x.jsonl.gz", "x.jsonl.xz", "x.jsonl.zst", "x.json.zstd"}) {
    EXPECT_THAT(Pairs(File(name, jsonl)), ElementsAre("a|A")) << name;
  }
  EXPECT_THAT(Pairs(File("x.jsonl.zst", Compress(jsonl, "zstd"))), ElementsAre("a|A"));
  EXPECT_THAT(Pairs(File("x.gz", Compress("a\tA\n", "gzip"))), ElementsAre("a|A"));
  PairFiles told = File("x.tsv", jsonl);
  told.format = PairFormat::kJsonl;
  EXPECT_THAT(Pairs(told), ElementsAre("a|A"));
  told = File("x.jsonl", "a\tA\n");
  told.format = PairFormat::kTsv;
  EXPECT_THAT(Pairs(told), ElementsAre("a|A"));
}

TEST_F(PairReaderTest, FindsTheUsualFields) {
  const auto read = [&](const std::string& line) {
    PairFiles files = File("x.jsonl", line);
    files.source_language = "en";
    files.target_language = "fr";
    return Pairs(files);
  };
  EXPECT_THAT(read(R"({"translation": {"en": "a", "fr": "A"}, "source": "no"})"), ElementsAre("a|A"));
  EXPECT_THAT(read(R"({"en": "a", "fr": "A", "src": "no"})"), ElementsAre("a|A"));
  EXPECT_THAT(read(R"({"source": "a", "target": "A"})"), ElementsAre("a|A"));
  EXPECT_THAT(read(R"({"src": "a", "tgt": "A"})"), ElementsAre("a|A"));
  EXPECT_THAT(read(R"({"src": "a", "reference": "A"})"), ElementsAre("a|A"));
  EXPECT_THAT(read("{\"en\": \"a\\tb\\nc\\u00e9\", \"fr\": \"\xC3\x89\"}"), ElementsAre("a\tb\nc\xC3\xA9|\xC3\x89"));
}

TEST_F(PairReaderTest, FindsFieldsByName) {
  PairFiles files = File("x.jsonl", R"({"a": {"b": {"c": "deep"}}, "d.e": "flat", "d": {"e": "nested"}})");
  files.source_field = "a.b.c";
  files.reference_field = "d.e";
  EXPECT_THAT(Pairs(files), ElementsAre("deep|flat"));
}

TEST_F(PairReaderTest, TheFirstLineSettlesTheFields) {
  PairFiles files = File("x.jsonl", "{\"src\": \"a\", \"tgt\": \"A\"}\n{\"source\": \"b\", \"tgt\": \"B\"}\n");
  EXPECT_EQ(Error(files), "x.jsonl:2: the object has no field \"src\" for the source; it has \"source\", \"tgt\"");
}

TEST_F(PairReaderTest, SaysWhichObjectIsNoPair) {
  const auto error = [&](const std::string& line) {
    return Error(File("x.jsonl", "{\"source\": \"a\", \"target\": \"A\"}\n" + line + "\n"));
  };
  EXPECT_EQ(error(""), "x.jsonl:2: the line is not JSON from byte 1 on; one object a line is wanted (JSON Lines)");
  EXPECT_EQ(error("{\"source\": \"a"),
            "x.jsonl:2: the line is not JSON from byte 14 on; one object a line is wanted (JSON Lines)");
  EXPECT_EQ(error("[1]"), "x.jsonl:2: the line is of type array; one JSON object a line is wanted");
  EXPECT_EQ(error("{}"), "x.jsonl:2: the object has no field \"source\" for the source; it has none");
  EXPECT_EQ(error(R"({"source": "a", "translation": {"fr": "A"}})"),
            "x.jsonl:2: the object has no field \"target\" for the reference; it has \"source\", \"translation.fr\"");
  EXPECT_EQ(error(R"({"source": "a", "target": null})"),
            "x.jsonl:2: the field \"target\" is of type null; a string is wanted");
  EXPECT_EQ(error(R"({"source": ["a"], "target": "A"})"),
            "x.jsonl:2: the field \"source\" is of type array; a string is wanted");
  EXPECT_EQ(error("{\"source\": \"\xFF\", \"target\": \"A\"}"), "x.jsonl:2: byte 13 of the line is not valid UTF-8");
  EXPECT_EQ(error(R"({"source": "a\u0000", "target": "A"})"), "x.jsonl:2: a text holds a NUL");
  EXPECT_THAT(error(R"({"source": "\ud800", "target": "A"})"), HasSubstr("x.jsonl:2: the line is not JSON"));
  EXPECT_THAT(error(std::string(100000, '[')), HasSubstr("x.jsonl:2: the line is not JSON"));
}

TEST_F(PairReaderTest, SaysWhichLineIsNoPair) {
  EXPECT_EQ(Error(File("x", "a\tA\nb\n")), "x:2: the line has no tab; SOURCE<TAB>REFERENCE is wanted");
  EXPECT_EQ(Error(File("x", "a\tA\n\n")), "x:2: the line has no tab; SOURCE<TAB>REFERENCE is wanted");
  EXPECT_EQ(Error(File("x", "a\tA\tx\n")), "x:1: the line has more than one tab; SOURCE<TAB>REFERENCE is wanted");
  EXPECT_EQ(Error(File("x", "a\t\xFF\n")), "x:1: byte 1 of the reference is not valid UTF-8");
  EXPECT_EQ(Error(File("x", "a\tA\nb\0\tB\n"s)), "x:2: byte 2 is NUL; lines of UTF-8 text are wanted");
  EXPECT_EQ(Error(File("x",
                       "\xFF\xFE"
                       "a\0\t\0"s)),
            "x:1: the file is UTF-16; UTF-8 is wanted");
  EXPECT_EQ(Error(File("x", "a\tA\n" + std::string((1 << 20) + 1, 'x'))), "x:2: the line is longer than 1 MiB");
  PairFiles swapped = File("x", "a\n");
  swapped.swap_columns = true;
  EXPECT_EQ(Error(swapped), "x:1: the line has no tab; REFERENCE<TAB>SOURCE is wanted");
}

TEST_F(PairReaderTest, TwoFilesMustHaveEquallyManyLines) {
  EXPECT_EQ(Error(TwoFiles("a\nb\n", "A\n")), "s:2: has no counterpart: r ends a line before");
  EXPECT_EQ(Error(TwoFiles("a\n", "A\nB\n")), "r:2: has no counterpart: s ends a line before");
  EXPECT_EQ(Error(TwoFiles("a\n", "A\0\n"s)), "r:1: byte 2 is NUL; lines of UTF-8 text are wanted");
  EXPECT_EQ(Error(TwoFiles("a\n", std::string((1 << 20) + 1, 'x'))), "r:1: the line is longer than 1 MiB");
}

TEST_F(PairReaderTest, SourcesThatCannotBeTranslatedStayInTheSet) {
  EXPECT_THAT(Pairs(File("x", "a\tA\n \tB\n\xFF\tC\n")),
              ElementsAre("a|A", " |B|the source is blank", "\xFF|C|byte 1 of the source is not valid UTF-8"));
  EXPECT_THAT(Pairs(TwoFiles(std::string((1 << 20) + 1, 'x') + "\nb\n", "A\nB\n")),
              ElementsAre("|A|the source is longer than 1 MiB", "b|B"));
  EXPECT_THAT(Pairs(File("x.jsonl", R"({"source": "", "target": "A"})")), ElementsAre("|A|the source is blank"));
}

TEST_F(PairReaderTest, SkipsAndTakes) {
  PairFiles files = File("x", "a\tA\nb\tB\nc\tC\nd\tD\n");
  files.skip = 1;
  files.take = 2;
  EXPECT_THAT(Pairs(files), ElementsAre("b|B", "c|C"));
  auto reader = PairReader::Open(files);
  EXPECT_EQ((*reader->Next())->line, 2);
  files.take = 9;
  EXPECT_THAT(Pairs(files), ElementsAre("b|B", "c|C", "d|D"));
  const auto info = InspectPairs(files);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->pairs, 3);
  EXPECT_EQ(info->pairs_there, 4);
  files.take = 0;
  files.skip = 4;
  EXPECT_EQ(Words(InspectPairs(files).status()), "x holds 4 pairs; none is left after the first 4");
  EXPECT_THAT(Pairs(files), ElementsAre());
  EXPECT_EQ(Words(InspectPairs(File("x", "")).status()), "x holds no pairs");
}

TEST_F(PairReaderTest, InspectingSeesErrorsOutsideOfWhatIsTaken) {
  PairFiles files = File("x", "a\tA\nb\tB\nc\n");
  files.take = 1;
  EXPECT_EQ(Words(InspectPairs(files).status()), "x:3: the line has no tab; SOURCE<TAB>REFERENCE is wanted");
}

TEST_F(PairReaderTest, InspectingDigestsTheFilesAsTheyLieThere) {
  const auto info = InspectPairs(File("x", "a\tA\nb\tB\nc\tC\n"));
  ASSERT_TRUE(info.ok()) << info.status();
  ASSERT_EQ(info->files.size(), 1);
  EXPECT_EQ(info->files[0].sha256, "a58d656946facda1b12b5fe10ecec5bf4a509f7510da9beec17a42e6e5e501c9");
  const auto two = InspectPairs(TwoFiles("abc", "A"));
  ASSERT_TRUE(two.ok()) << two.status();
  ASSERT_EQ(two->files.size(), 2);
  EXPECT_EQ(two->files[0].sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Words(absl::NotFoundError(two->files[1].path)), "r");
}

TEST_F(PairReaderTest, DamageIsNamed) {
  std::string gzip = Compress("a\tA\nb\tB\n", "gzip");
  gzip.resize(gzip.size() - 4);
  const std::string error = Error(File("x.gz", gzip));
  EXPECT_THAT(error, HasSubstr("x.gz is damaged or cut off"));
}

TEST_F(PairReaderTest, ALineThatUnpacksToALotDoesNotTakeMemory) {
  const std::string bomb = Compress(std::string(200 << 20, 'x'), "zstd");
  const PairFiles files = File("x.zst", bomb);
  rusage before = {};
  getrusage(RUSAGE_SELF, &before);
  EXPECT_EQ(Words(InspectPairs(files).status()), "x.zst:1: the line is longer than 1 MiB");
  rusage after = {};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LE(after.ru_maxrss - before.ru_maxrss, 64 << 10);  // KiB
}

TEST_F(PairReaderTest, RefusesWhatCannotBeMeant) {
  const auto error = [](const PairFiles& files) { return std::string(InspectPairs(files).status().message()); };
  PairFiles files;
  EXPECT_THAT(error(files), HasSubstr("one file of pairs, or"));
  files.source = "s";
  EXPECT_THAT(error(files), HasSubstr("one file of pairs, or"));
  files.pairs = "p";
  EXPECT_THAT(error(files), HasSubstr("one file of pairs, or"));
  files = TwoFiles("a\n", "A\n");
  files.format = PairFormat::kJsonl;
  EXPECT_THAT(error(files), HasSubstr("not JSON Lines"));
  files = File("x", "a\tA\n");
  files.skip = -1;
  EXPECT_THAT(error(files), HasSubstr("skip is -1 and take 0; 0 or more is wanted"));
  files.skip = 0;
  files.pairs = "-";
  EXPECT_THAT(error(files), HasSubstr("not a regular file"));
  files.pairs = (home_.path() / "pipe").string();
  ASSERT_EQ(mkfifo(files.pairs.c_str(), 0600), 0);
  EXPECT_THAT(error(files), HasSubstr("not a regular file"));
}

TEST_F(PairReaderTest, AnInterruptEndsWaiting) {
  PairFiles files;
  files.pairs = (home_.path() / "pipe").string();
  ASSERT_EQ(mkfifo(files.pairs.c_str(), 0600), 0);
  const int interrupt = eventfd(0, 0);
  int writer = -1;
  std::thread write_some([&] {
    writer = open(files.pairs.c_str(), O_WRONLY);
    ASSERT_EQ(write(writer, "whole\tWHOLE\npart", 16), 16);
  });
  auto reader = PairReader::Open(files, interrupt);
  write_some.join();
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader->Next())->source, "whole");
  std::thread other([&] { ASSERT_EQ(eventfd_write(interrupt, 1), 0); });
  EXPECT_EQ(reader->Next().status().code(), absl::StatusCode::kCancelled);  // blocks until then
  other.join();
  close(writer);
  close(interrupt);
}

}  // namespace
}  // namespace petit::data
