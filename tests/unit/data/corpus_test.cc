#include "client/data/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/unit/data/compress.h"
#include "tests/unit/data/temporary_directory.h"

namespace petit::data {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

constexpr char kFivePairs[] =
    "{\"en\": \"one\", \"fr\": \"un\"}\n{\"en\": \"two\", \"fr\": \"deux\"}\n{\"en\": \"three\", \"fr\": \"trois\"}\n"
    "{\"en\": \"four\", \"fr\": \"quatre\"}\n{\"en\": \"five\", \"fr\": \"cinq\"}\n";

class ImportCorpusTest : public testing::Test {
 protected:
  ImportOptions Options(const std::string& name, std::string_view content) {
    ImportOptions options;
    options.file = home_.Write(name, content);
    options.out_dir = (home_.path() / "out").string();
    options.split = {.train = 2, .test = 1, .dev = 1};
    return options;
  }
  std::string Error(const ImportOptions& options) {
    std::string words(ImportCorpus(options).status().message());
    const std::string directory = home_.path().string() + "/";
    for (std::size_t at = 0; (at = words.find(directory)) != std::string::npos;) words.erase(at, directory.size());
    EXPECT_TRUE(LeftNothing()) << words;
    return words;
  }
  // No set, whole or in part.
  bool LeftNothing() {
    return !std::filesystem::exists(home_.path() / "out") || std::filesystem::is_empty(home_.path() / "out");
  }

  TemporaryDirectory home_;
};

TEST_F(ImportCorpusTest, TheFirstPairsAreToTrainAndTheNextToTest) {
  const auto sets = ImportCorpus(Options("gv.jsonl", kFivePairs));
  ASSERT_TRUE(sets.ok()) << sets.status();
  EXPECT_EQ(home_.Read("out/train.en-fr.tsv"), "one\tun\ntwo\tdeux\n");
  EXPECT_EQ(home_.Read("out/test.en-fr.tsv"), "three\ttrois\n");
  EXPECT_EQ(home_.Read("out/test.fr-en.tsv"), "trois\tthree\n");
  EXPECT_EQ(home_.Read("out/dev.en-fr.tsv"), "four\tquatre\n");
  EXPECT_FALSE(home_.Has("out/train.en-fr.tsv.part"));
  const Json manifest = Json::parse(home_.Read("out/manifest.json"));
  EXPECT_EQ(manifest["source"]["name"], "gv.jsonl");
  EXPECT_EQ(manifest["source"]["sha256"].get<std::string>().size(), 64);
  EXPECT_EQ(manifest["split"]["train"], 2);
  EXPECT_THAT(manifest["split"]["rule"].get<std::string>(), HasSubstr("the first 2 are train, the next 1 are test"));
  EXPECT_EQ(manifest["counts"], (Json{{"pairs_there", 5}, {"dropped_empty", 0}, {"unused", 1}}));
  EXPECT_EQ(manifest["files"][0]["name"], "train.en-fr.tsv");
  EXPECT_EQ(manifest["files"][0]["pairs"], 2);
  EXPECT_EQ(manifest["files"][0]["sha256"], sets->files[0].sha256);
}

TEST_F(ImportCorpusTest, CsvAndCompressionMakeTheSameSets) {
  const std::string csv = "id,fr,en\r\n1,un,one\r\n2,\"deux\",two\r\n3,trois,three\r\n";
  ASSERT_TRUE(ImportCorpus(Options("gv.jsonl.zst", Compress(kFivePairs, "zstd"))).ok());
  const std::string train = home_.Read("out/train.en-fr.tsv");
  ASSERT_TRUE(ImportCorpus(Options("gv.csv.gz", Compress(csv, "gzip"))).ok());
  EXPECT_EQ(home_.Read("out/train.en-fr.tsv"), train);
  EXPECT_EQ(home_.Read("out/test.fr-en.tsv"), "trois\tthree\n");
}

TEST_F(ImportCorpusTest, FieldsCanBeNamed) {
  ImportOptions options = Options("gv.txt", "English,French\n\"a, b\",\"c\nd\"\ne,f\ng,h\n");
  options.format = CorpusFormat::kCsv;
  options.source_field = "English";
  options.target_field = "French";
  ASSERT_TRUE(ImportCorpus(options).ok());
  EXPECT_EQ(home_.Read("out/train.en-fr.tsv"), "a, b\tc d\ne\tf\n");
}

TEST_F(ImportCorpusTest, TextsAreALineAndEmptyOnesAreDropped) {
  ASSERT_TRUE(ImportCorpus(Options("gv.jsonl",
                                   "{\"en\": \" a\\tb\\r\\n c  d \", \"fr\": \"x\\u00a0?\\n\"}\n"
                                   "{\"en\": \"\", \"fr\": \"x\"}\n{\"en\": \"x\", \"fr\": \" \\n\"}\n"
                                   "{\"en\": \"e\", \"fr\": \"f\"}\n{\"en\": \"g\", \"fr\": \"h\"}\n"))
                  .ok());
  EXPECT_EQ(home_.Read("out/train.en-fr.tsv"), "a b c  d\tx\xC2\xA0?\ne\tf\n");
  EXPECT_EQ(Json::parse(home_.Read("out/manifest.json"))["counts"]["dropped_empty"], 2);
}

TEST_F(ImportCorpusTest, ErrorsNameTheLineAndLeaveNothing) {
  EXPECT_THAT(Error(Options("a.jsonl", "{\"en\": \"a\", \"fr\": \"b\"}\n{\"en\": \"a\"}\n")),
              HasSubstr("a.jsonl:2: the object has no field \"fr\""));
  EXPECT_THAT(Error(Options("a.jsonl", "{\"en\": \"\xFF\", \"fr\": \"b\"}\n")), HasSubstr("a.jsonl:1: byte 9"));
  EXPECT_THAT(Error(Options("a.csv", "en;fr\n")),
              HasSubstr("a.csv:1: the first line, which names the columns, has no \"en\"; it has \"en;fr\""));
  EXPECT_THAT(Error(Options("a.csv", "en,fr\n\"x\ny\",z\n1,2,3\n")),
              HasSubstr("a.csv:4: there are 3 fields; the first line has 2"));
  EXPECT_THAT(Error(Options("a.csv", "en,fr\na,\xFF\n")), HasSubstr("a.csv:2: the field \"fr\" is not valid UTF-8"));
  EXPECT_EQ(Error(Options("a.csv", "")), "a.csv is empty");
  EXPECT_THAT(Error(Options("a.txt", "x")), HasSubstr("is named neither .jsonl nor .csv"));
  EXPECT_THAT(Error(Options("a.json", "PAR1")), HasSubstr("is a Parquet file"));
  const std::string gzip = Compress(kFivePairs, "gzip");
  EXPECT_THAT(Error(Options("a.jsonl.gz", gzip.substr(0, gzip.size() - 3))), HasSubstr("damaged or cut off"));
  EXPECT_THAT(Error(Options("a.jsonl", "{\"en\": \"a\", \"fr\": \"b\"}\n")),
              HasSubstr("a.jsonl holds 1 pairs without an empty side; 2 to train and 1 to test are wanted"));
  ImportOptions none = Options("a.jsonl", kFivePairs);
  none.split.test = 0;
  EXPECT_THAT(Error(none), HasSubstr("at least one of each is wanted"));
}

TEST_F(ImportCorpusTest, AFailureLeavesEarlierSetsAsTheyWere) {
  ASSERT_TRUE(ImportCorpus(Options("a.jsonl", kFivePairs)).ok());
  const std::string manifest = home_.Read("out/manifest.json");
  EXPECT_FALSE(ImportCorpus(Options("b.jsonl", "{\"en\": \"x\", \"fr\": \"y\"}\n")).ok());
  EXPECT_EQ(home_.Read("out/manifest.json"), manifest);
  EXPECT_EQ(home_.Read("out/train.en-fr.tsv"), "one\tun\ntwo\tdeux\n");
}

TEST_F(ImportCorpusTest, AFullDiskIsAnErrorThatNamesTheFile) {
  const ImportOptions options = Options("a.jsonl", kFivePairs);
  std::filesystem::create_directories(options.out_dir);
  std::filesystem::create_symlink("/dev/full", options.out_dir + "/test.en-fr.tsv.part");
  const auto status = ImportCorpus(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("test.en-fr.tsv.part"));
  EXPECT_TRUE(LeftNothing());
}

TEST_F(ImportCorpusTest, AnInterruptLeavesNothing) {
  ImportOptions options = Options("a.jsonl", kFivePairs);
  options.interrupt_fd = eventfd(1, 0);
  EXPECT_EQ(ImportCorpus(options).status().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(LeftNothing());
  close(options.interrupt_fd);
}

TEST(WithoutPasswordTest, HidesWhoAsks) {
  EXPECT_EQ(WithoutPassword("https://me:secret@host/a@b?c"), "https://host/a@b?c");
  EXPECT_EQ(WithoutPassword("https://host/a@b"), "https://host/a@b");
  EXPECT_EQ(WithoutPassword("host"), "host");
}

}  // namespace
}  // namespace petit::data
