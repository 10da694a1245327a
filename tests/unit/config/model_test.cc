// What the configuration may say of a model, but for numbers.
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/config/config_fixture.h"

namespace petit::serving {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using ModelConfigTest = ConfigTest;

TEST_F(ModelConfigTest, AModelNeedsAName) {
  EXPECT_THAT(Errors(Parse(absl::StrCat("\n  model { checkpoint: \"small\" ", kPrompt, " }"))),
              ElementsAre(AllOf(StartsWith("f.textproto:2:3: "), HasSubstr("no name"))));
}

TEST_F(ModelConfigTest, NamesAreFitForPathsAndLabels) {
  for (const std::string& name : {std::string("a b"), std::string("../etc"), std::string(".."), std::string("a/b"),
                                  std::string("\303\251t\303\251"), std::string("unknown"), std::string(200, 'a')}) {
    EXPECT_THAT(Errors(Parse(absl::StrCat("model { name: \"", name, "\" checkpoint: \"small\" ", kPrompt, " }"))),
                ElementsAre(AllOf(StartsWith("f.textproto:1:9: "), HasSubstr(name))));
  }
  EXPECT_TRUE(Parse(absl::StrCat("model { name: \"T5-v1.1_x\" checkpoint: \"small\" ", kPrompt, " }")).ok());
}

TEST_F(ModelConfigTest, AModelHasACheckpointOrAVersionPolicy) {
  EXPECT_THAT(Errors(Parse(absl::StrCat("model { name: \"m\" ", kPrompt, " }"))),
              ElementsAre(HasSubstr("neither checkpoint")));
  EXPECT_THAT(Errors(ParseModel("version_policy { latest {} }")),
              ElementsAre(AllOf(StartsWith("f.textproto:3:1: "), HasSubstr("keep one"))));
  EXPECT_THAT(Errors(Parse(absl::StrCat("model { name: \"m\" version_policy { latest {} } ", kPrompt, " }"))),
              ElementsAre(HasSubstr("model_root")));
  EXPECT_THAT(
      Errors(Parse(absl::StrCat("model_root: \"models\" model { name: \"m\" version_policy { } ", kPrompt, " }"))),
      ElementsAre(HasSubstr("version_policy is empty")));
  EXPECT_THAT(Errors(Parse(absl::StrCat("model_root: \"models\" model { name: \"m\" version_policy {\n specific: -1 } ",
                                        kPrompt, " }"))),
              ElementsAre(AllOf(StartsWith("f.textproto:2:2: "), HasSubstr("numbered from 1"))));
}

TEST_F(ModelConfigTest, DirectoriesMustBeThere) {
  EXPECT_THAT(Errors(Parse(absl::StrCat("model { name: \"m\" checkpoint: \"gone\" ", kPrompt, " }"))),
              ElementsAre(AllOf(StartsWith("f.textproto:1:19: "), HasSubstr((base_ / "gone").string()))));
  EXPECT_THAT(Errors(Parse(absl::StrCat("model { name: \"m\" checkpoint: \"models\" ", kPrompt, " }"))),
              ElementsAre(HasSubstr("has no config.json")));
  std::filesystem::create_directory(base_ / "loop");
  std::filesystem::create_symlink("config.json", base_ / "loop/config.json");
  EXPECT_THAT(Errors(Parse(absl::StrCat("model { name: \"m\" checkpoint: \"loop\" ", kPrompt, " }"))),
              ElementsAre(HasSubstr("cannot be looked into: Too many levels of symbolic links")));
  EXPECT_THAT(
      Errors(Parse(absl::StrCat("model { name: \"m\" checkpoint: \"small\" ", kPrompt, " }\nmodel_root: \"no\""))),
      ElementsAre(AllOf(StartsWith("f.textproto:2:1: "), HasSubstr("model_root"))));
}

TEST_F(ModelConfigTest, AModelWithoutVersionsYetIsAllowed) {
  // Its first version comes from a job.
  EXPECT_TRUE(
      Parse(absl::StrCat("model_root: \"models\" model { name: \"new\" version_policy { latest {} } ", kPrompt, " }"))
          .ok());
}

TEST_F(ModelConfigTest, WhatIsNotBuiltSaysWhatWorks) {
  EXPECT_THAT(Errors(ParseModel("precision: INT8_STATIC")),
              ElementsAre(AllOf(StartsWith("f.textproto:3:1: "), HasSubstr("use INT8 (dynamic), BF16 or FP32"))));
  EXPECT_THAT(Errors(ParseModel("executor: NATIVE threads: 4")),
              ElementsAre(AllOf(StartsWith("f.textproto:3:1: "), HasSubstr("use TORCH"))));
  EXPECT_THAT(Errors(ParseModel("precision: 99")), ElementsAre(HasSubstr("precision 99 is unknown")));
}

TEST_F(ModelConfigTest, AModelMayHaveThreadsOfItsOwn) {
  EXPECT_EQ(ParseModel("")->models[0].threads, 0);
  EXPECT_EQ(ParseModel("threads: 4")->models[0].threads, 4);
  EXPECT_THAT(Errors(ParseModel("threads: -4")),
              ElementsAre(AllOf(StartsWith("f.textproto:3:1: "), HasSubstr("threads"))));
  EXPECT_EQ(ParseModel("")->models[0].replicas, 1);
  EXPECT_EQ(ParseModel("replicas: 4")->models[0].replicas, 4);
  EXPECT_THAT(Errors(ParseModel("replicas: 257")),
              ElementsAre(AllOf(StartsWith("f.textproto:3:1: "), HasSubstr("replicas"), HasSubstr("256"))));
  EXPECT_THAT(Errors(ParseModel("replicas: 2 device: \"cuda:0\"")),
              ElementsAre(AllOf(StartsWith("f.textproto:3:1: "), HasSubstr("CPU only"), HasSubstr("max_rows"))));
}

TEST_F(ModelConfigTest, DevicesHaveTheSyntaxOfTorch) {
  for (const absl::string_view device : {"cpu", "cuda", "cuda:0", "cuda:15"}) {
    EXPECT_TRUE(ParseModel(absl::StrCat("device: \"", device, "\"")).ok()) << device;
  }
  for (const absl::string_view device : {"gpu", "CPU", "cuda:", "cuda:-1", "cuda:01", "cuda:1000", "cuda0", "cpu:0"}) {
    EXPECT_THAT(Errors(ParseModel(absl::StrCat("device: \"", device, "\""))),
                ElementsAre(AllOf(StartsWith("f.textproto:3:1: "), HasSubstr("use \"cpu\", \"cuda\""))));
  }
}

TEST_F(ModelConfigTest, Int8IsForTheCpu) {
  EXPECT_TRUE(ParseModel("precision: INT8").ok());
  EXPECT_THAT(Errors(ParseModel("precision: INT8 device: \"cuda:0\"")),
              ElementsAre(AllOf(StartsWith("f.textproto:3:1: "), HasSubstr("CPU only"))));
}

TEST_F(ModelConfigTest, AModelNeedsPromptsThatDiffer) {
  EXPECT_THAT(Errors(Parse("model { name: \"m\" checkpoint: \"small\" }")), ElementsAre(HasSubstr("no prompt")));
  EXPECT_THAT(Errors(ParseModel("prompt { source: \"en\" target: \"fr\" prefix: \"x\" }")),
              ElementsAre(AllOf(StartsWith("f.textproto:3:1: "), HasSubstr("second prompt from \"en\" to \"fr\""))));
  EXPECT_THAT(Errors(ParseModel("prompt { source: \"\" target: \"d e\" }")),
              ElementsAre(HasSubstr("source is \"\""), HasSubstr("target is \"d e\"")));
  EXPECT_THAT(Errors(ParseModel("prompt { source: \"a\" target: \"b\" prefix: \"fran\\347ais\" }")),
              ElementsAre(HasSubstr("not UTF-8")));
}

}  // namespace
}  // namespace petit::serving
