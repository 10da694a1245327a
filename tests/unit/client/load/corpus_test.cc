#include "client/load/corpus.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace petit::load {
namespace {

using ::testing::HasSubstr;

std::string Write(const std::string& name, const std::string& text) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / ("petit-load-" + name);
  std::ofstream(path, std::ios::binary) << text;
  return path.string();
}

std::size_t Words(const std::string& text) { return 1 + std::count(text.begin(), text.end(), ' '); }

TEST(Corpus, TakesALineATextInTurnAndLeavesOutWhatCannotBeTranslated) {
  const std::string path = Write("plain.txt", "one\ta tab is text\n\n   \nbad \xff\ntwo\n");
  absl::StatusOr<Corpus> corpus = Corpus::OfFile(path, "en", "fr");
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  EXPECT_EQ(corpus->size(), 2);
  EXPECT_EQ(corpus->Next(), "one\ta tab is text");
  EXPECT_EQ(corpus->Next(), "two");
  EXPECT_EQ(corpus->Next(), "one\ta tab is text");
}

TEST(Corpus, TakesTheSourcesOfPairs) {
  const std::string tsv = Write("pairs.tsv", "one\tun\ntwo\tdeux\n");
  EXPECT_EQ(Corpus::OfFile(tsv, "en", "fr")->Next(), "one");
  const std::string jsonl = Write("pairs.jsonl", "{\"translation\": {\"en\": \"three\", \"fr\": \"trois\"}}\n");
  EXPECT_EQ(Corpus::OfFile(jsonl, "en", "fr")->Next(), "three");
  EXPECT_EQ(Corpus::OfFile(jsonl, "fr", "en")->Next(), "trois");
}

TEST(Corpus, SaysWhatIsWrongWithAFile) {
  EXPECT_THAT(std::string(Corpus::OfFile("/no/such/file", "en", "fr").status().message()), HasSubstr("/no/such/file"));
  EXPECT_THAT(std::string(Corpus::OfFile(Write("empty.txt", "\n\n"), "en", "fr").status().message()),
              HasSubstr("holds no text"));
  EXPECT_THAT(std::string(Corpus::OfFile(Write("single.tsv", "no tab\n"), "en", "fr").status().message()),
              HasSubstr("single.tsv"));
}

TEST(Corpus, MakesTextsOfTheLengthsAskedFor) {
  absl::StatusOr<Corpus> corpus = Corpus::Synthetic("3,10", 1);
  ASSERT_TRUE(corpus.ok());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Words(corpus->Next()), i % 2 == 0 ? 3 : 10);
  absl::StatusOr<Corpus> range = Corpus::Synthetic("5-8", 1);
  std::set<std::size_t> lengths;
  for (int i = 0; i < 200; ++i) lengths.insert(Words(range->Next()));
  EXPECT_EQ(lengths, (std::set<std::size_t>{5, 6, 7, 8}));
}

TEST(Corpus, TheSeedDecidesSyntheticTexts) {
  EXPECT_EQ(Corpus::Synthetic("20", 4)->Next(), Corpus::Synthetic("20", 4)->Next());
  EXPECT_NE(Corpus::Synthetic("20", 4)->Next(), Corpus::Synthetic("20", 5)->Next());
}

TEST(Corpus, RefusesWhatIsNoLength) {
  for (const char* text : {"", "0", "8,", "9-5", "a", "5-", "1001", "-3"}) {
    EXPECT_THAT(std::string(Corpus::Synthetic(text, 1).status().message()), HasSubstr("8,16,32 or 5-60")) << text;
  }
}

}  // namespace
}  // namespace petit::load
