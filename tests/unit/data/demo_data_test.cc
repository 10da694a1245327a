#include "client/data/demo_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "client/data/apt.h"

namespace petit::data {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::SizeIs;

std::string Read(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

void Write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

TEST(ParseOneLineSourcesTest, ReadsOptionsUriAndSuite) {
  const auto sources = ParseOneLineSources(R"(# a comment
deb cdrom:[Debian 12]/ bookworm contrib
deb-src http://m.example/debian bookworm main
deb [ arch=amd64 signed-by=/keys/a.gpg trusted=yes ] http://m.example/debian bookworm main contrib # why
 deb	http://n.example/ubuntu	noble	universe main
deb [signed-by=/keys/a.gpg http://broken.example/debian bookworm main
debian http://x.example/debian bookworm main
deb)");
  ASSERT_THAT(sources, SizeIs(2));
  EXPECT_EQ(sources[0].uri, "http://m.example/debian");
  EXPECT_EQ(sources[0].suite, "bookworm");
  EXPECT_EQ(sources[0].signed_by, "/keys/a.gpg");
  EXPECT_TRUE(sources[0].trusted);
  EXPECT_EQ(sources[1].uri, "http://n.example/ubuntu");
  EXPECT_EQ(sources[1].suite, "noble");
  EXPECT_EQ(sources[1].signed_by, "");
  EXPECT_FALSE(sources[1].trusted);
}

TEST(ParseDeb822SourcesTest, ReadsStanzasAndKeyBlocks) {
  const auto sources = ParseDeb822Sources(R"(Types: deb deb-src
# a comment
URIs: http://m.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

types: deb-src
URIs: http://src.example/debian
Suites: bookworm
Components: main
)");
  ASSERT_THAT(sources, SizeIs(2));
  EXPECT_EQ(sources[0].suite, "bookworm");
  EXPECT_EQ(sources[1].suite, "bookworm-updates");
  EXPECT_EQ(sources[0].signed_by, "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc");
}

class DemoDataTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "petit-demo-data-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    Write(root_ / "apt/sources.list.d/aaa-vendor.list", "deb http://vendor.example/tools stable main\n");
    Write(root_ / "apt/sources.list.d/distribution.sources",
          "Types: deb\nURIs: http://m.example/debian-security\nSuites: bookworm-security\nComponents: main\n\n"
          "Types: deb\nURIs: http://m.example/debian/\nSuites: bookworm-updates bookworm\nComponents: main\n");
    options_.out_dir = (root_ / "out").string();
    options_.etc_apt = (root_ / "apt").string();
    options_.apt_get = (root_ / "apt-get").string();
  }
  void TearDown() override {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  // A program that behaves as `apt-get -q -c CONFIG update` by running `script` in the configuration's folder.
  void WriteApt(const std::string& script) {
    const fs::path path = options_.apt_get;
    Write(
        path,
        "#!/bin/sh\n[ \"$1 $2 $4\" = '-q -c update' ] || exit 64\ncd \"${3%/*}\" || exit 65\necho run >>../../runs\n" +
            script);
    fs::permissions(path, fs::perms::owner_all);
  }

  // Enough pairs that each split has some.
  void WriteLists() {
    std::string english;
    std::string french;
    std::string korean;
    for (int i = 0; i < 400; ++i) {
      const std::string n = std::to_string(i);
      english +=
          "Package: p" + n + "\nDescription-md5: " + n + "\nDescription-en: tool number " + n + "\n Same text.\n\n";
      french +=
          "Package: p" + n + "\nDescription-md5: " + n + "\nDescription-fr: outil numéro " + n + "\n Texte égal.\n\n";
      if (i % 2 == 0) korean += "Package: p" + n + "\nDescription-md5: " + n + "\nDescription-ko: 도구 " + n + "\n\n";
    }
    Write(root_ / "archive/x_main_i18n_Translation-en", english);
    Write(root_ / "archive/x_main_i18n_Translation-fr", french);
    Write(root_ / "archive/x_main_i18n_Translation-ko", korean);
    Write(root_ / "archive/x_InRelease", "Origin: Debian\nDate: Sat, 06 Sep 2025 10:00:00 UTC\n");
    WriteApt("cp ../../archive/* lists/\n");
  }

  int Runs() const {
    const std::string runs = Read(root_ / "runs");
    return static_cast<int>(std::count(runs.begin(), runs.end(), '\n'));
  }

  fs::path root_;
  DemoDataOptions options_;
};

TEST_F(DemoDataTest, TheDistributionsReleaseIsTheMachinesSource) {
  const auto source = FindMachineSource(options_.etc_apt);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->uri, "http://m.example/debian/");
  EXPECT_EQ(source->suite, "bookworm");
  Write(root_ / "apt/sources.list", "deb http://own.example/ubuntu noble main\n");
  EXPECT_EQ(FindMachineSource(options_.etc_apt)->uri, "http://own.example/ubuntu");
}

TEST_F(DemoDataTest, WritesTheSplitsAndAManifest) {
  WriteLists();
  std::vector<std::string> told;
  const auto data = BuildDemoData(options_, [&told](std::string_view message) { told.emplace_back(message); });
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_FALSE(told.empty());
  EXPECT_EQ(data->suite, "bookworm");
  EXPECT_EQ(data->mirror, "http://m.example/debian/");
  EXPECT_EQ(data->date, "Sat, 06 Sep 2025 10:00:00 UTC");
  ASSERT_THAT(data->files, SizeIs(5));
  EXPECT_EQ(data->files[0].name, "train.en-fr.tsv");
  // 400 synopses, and one sentence that all share.
  EXPECT_EQ(data->files[0].pairs + data->files[1].pairs + data->files[2].pairs, 401);
  for (const DemoDataFile& file : data->files) {
    EXPECT_GT(file.pairs, 0) << file.name;
    EXPECT_THAT(file.sha256, SizeIs(64));
  }
  EXPECT_EQ(data->files[2].pairs, data->files[3].pairs);

  const fs::path out = options_.out_dir;
  const std::string test = Read(out / "test.en-fr.tsv");
  const std::string line = test.substr(0, test.find('\n'));
  const std::string english = line.substr(0, line.find('\t'));
  EXPECT_THAT(english, HasSubstr("tool number "));
  EXPECT_EQ(SplitOf(english), Split::kTest);
  EXPECT_EQ(Read(out / "test.fr-en.tsv").substr(0, line.size()), line.substr(line.find('\t') + 1) + "\t" + english);
  EXPECT_THAT(Read(out / "test.ko-en.tsv"), testing::StartsWith("도구 "));
  EXPECT_THAT(Read(out / "manifest.json"), HasSubstr(data->files[4].sha256));
  // Neither apt's state nor half a file is left.
  EXPECT_EQ(std::distance(fs::directory_iterator(out), fs::directory_iterator()), 6);
}

TEST_F(DemoDataTest, WhatIsThereAlreadyIsNotFetchedAgain) {
  WriteLists();
  ASSERT_TRUE(BuildDemoData(options_, nullptr).ok());
  const std::string manifest = Read(fs::path(options_.out_dir) / "manifest.json");
  const auto again = BuildDemoData(options_, nullptr);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->reused);
  EXPECT_THAT(again->files, SizeIs(5));
  EXPECT_EQ(Runs(), 1);

  // Another suite, a damaged file or the caller's wish rebuild it.
  options_.refresh = true;
  EXPECT_FALSE(BuildDemoData(options_, nullptr)->reused);
  EXPECT_EQ(Runs(), 2);
  EXPECT_EQ(Read(fs::path(options_.out_dir) / "manifest.json"), manifest);
  options_.refresh = false;
  Write(fs::path(options_.out_dir) / "dev.en-fr.tsv", "cut");
  EXPECT_FALSE(BuildDemoData(options_, nullptr)->reused);
  EXPECT_EQ(Runs(), 3);
  options_.suite = "trixie";
  EXPECT_EQ(BuildDemoData(options_, nullptr)->suite, "trixie");
  EXPECT_EQ(Runs(), 4);
  Write(fs::path(options_.out_dir) / "manifest.json", "{");
  EXPECT_TRUE(BuildDemoData(options_, nullptr).ok());
  EXPECT_EQ(Runs(), 5);
}

TEST_F(DemoDataTest, AptSeesAPrivateConfiguration) {
  WriteLists();
  WriteApt("cp apt.conf private.sources ../../; cp ../../archive/* lists/\n");
  options_.mirror = "http://other.example/debian";
  ASSERT_TRUE(BuildDemoData(options_, nullptr).ok());
  const std::string config = Read(root_ / "apt.conf");
  const std::string out = options_.out_dir;
  EXPECT_THAT(config, HasSubstr("Dir::State \"" + out + "/.apt/state\";"));
  EXPECT_THAT(config, HasSubstr("Dir::State::lists \"" + out + "/.apt/lists\";"));
  EXPECT_THAT(config, HasSubstr("Dir::Cache \"" + out + "/.apt/cache\";"));
  EXPECT_THAT(config, HasSubstr("Dir::Etc::sourcelist \"" + out + "/.apt/private.sources\";"));
  EXPECT_THAT(config, HasSubstr("#clear APT::Update::Post-Invoke;"));
  EXPECT_THAT(Read(root_ / "private.sources"), HasSubstr("URIs: http://other.example/debian\nSuites: bookworm\n"));
}

TEST_F(DemoDataTest, GoesOnWithTheListsOfAFailedRun) {
  WriteLists();
  WriteApt("cp ../../archive/* lists/; echo 'E: Could not connect' >&2; exit 100\n");
  const auto failed = BuildDemoData(options_, nullptr);
  EXPECT_EQ(failed.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(failed.status().message()), HasSubstr("E: Could not connect"));
  EXPECT_THAT(std::string(failed.status().message()), HasSubstr("http://m.example/debian/"));
  EXPECT_FALSE(fs::exists(fs::path(options_.out_dir) / "manifest.json"));
  WriteApt("test -s lists/x_main_i18n_Translation-fr\n");
  EXPECT_TRUE(BuildDemoData(options_, nullptr).ok());
}

TEST_F(DemoDataTest, SaysThatAptIsMissing) {
  options_.apt_get = "petit-no-such-apt-get";
  const auto data = BuildDemoData(options_, nullptr);
  EXPECT_EQ(data.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(data.status().message()), HasSubstr("petit-no-such-apt-get is not there"));
}

TEST_F(DemoDataTest, SaysWhichListTheMirrorLacks) {
  WriteLists();
  WriteApt("cp ../../archive/*en ../../archive/*fr lists/\n");
  const auto data = BuildDemoData(options_, nullptr);
  EXPECT_EQ(data.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(data.status().message()), HasSubstr("no Translation-ko for bookworm/main"));
  WriteApt("cp ../../archive/* lists/; echo '<html>' >lists/x_main_i18n_Translation-ko\n");
  EXPECT_EQ(BuildDemoData(options_, nullptr).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(DemoDataTest, RefusesWhatAptCannotExpress) {
  WriteLists();
  const auto code = [this] { return BuildDemoData(options_, nullptr).status().code(); };
  for (const char* suite : {"book worm", "a\nTrusted: yes", "x;y"}) {
    options_.suite = suite;
    EXPECT_EQ(code(), absl::StatusCode::kInvalidArgument) << suite;
  }
  options_.suite = "";
  for (const char* mirror : {"nowhere", "http://a b/", "http://a/\nTrusted: yes"}) {
    options_.mirror = mirror;
    EXPECT_EQ(code(), absl::StatusCode::kInvalidArgument) << mirror;
  }
  options_.mirror = "";
  options_.out_dir = (root_ / "a\"b").string();
  EXPECT_EQ(code(), absl::StatusCode::kInvalidArgument);
  options_.out_dir = "";
  EXPECT_EQ(code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Runs(), 0);
}

TEST_F(DemoDataTest, WithoutAMachineSourceTheMirrorAndTheSuiteMustBeGiven) {
  WriteLists();
  fs::remove_all(options_.etc_apt);
  EXPECT_EQ(BuildDemoData(options_, nullptr).status().code(), absl::StatusCode::kNotFound);
  options_.mirror = "http://m.example/debian";
  EXPECT_EQ(BuildDemoData(options_, nullptr).status().code(), absl::StatusCode::kNotFound);
  options_.suite = "bookworm";
  EXPECT_TRUE(BuildDemoData(options_, nullptr).ok());
}

TEST(SplitOfTest, GoesByTheFirstByteOfTheDigest) {
  EXPECT_EQ(SplitOf("tool 359"), Split::kTest);   // 00...
  EXPECT_EQ(SplitOf("tool 211"), Split::kTest);   // 07...
  EXPECT_EQ(SplitOf("tool 276"), Split::kDev);    // 08...
  EXPECT_EQ(SplitOf("tool 98"), Split::kDev);     // 0b...
  EXPECT_EQ(SplitOf("tool 270"), Split::kTrain);  // 0c...
  EXPECT_EQ(SplitOf(""), Split::kTrain);          // e3...
}

}  // namespace
}  // namespace petit::data
