// SentencePiece's private Protobuf and Abseil live beside the system's in one process.
#include <absl/container/flat_hash_map.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <string>

#include "models/tokenizer/tokenizer.h"
#include "tests/unit/tokenizer/fixture.h"

namespace petit::tokenizer {
namespace {

TEST(IsolationTest, TheSystemsProtobufAndAbseilWorkBesideTheTokenizer) {
  Directory directory;
  directory.WriteModel(ReadFile(DemoModel()));
  for (int round = 0; round < 2; ++round) {
    google::protobuf::Struct message;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(R"({"a": [1, "b", {"c": null}]})", &message).ok());
    google::protobuf::Struct again;
    ASSERT_TRUE(again.ParseFromString(message.SerializeAsString()));
    std::string text;
    ASSERT_TRUE(google::protobuf::TextFormat::PrintToString(again, &text));
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
    EXPECT_NE(google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName("google.protobuf.Struct"),
              nullptr);

    std::string error;
    const auto tokenizer = Tokenizer::Load(directory.path(), &error);
    ASSERT_NE(tokenizer, nullptr) << error;
    absl::flat_hash_map<std::string, int> words;
    for (const auto word : absl::StrSplit(tokenizer->Decode(tokenizer->Encode("a file and a user").ids), ' ')) {
      ++words[absl::StrCat(word, "!")];
    }
    EXPECT_EQ(words["a!"], 2);
    EXPECT_FALSE(again.ParseFromString("\xff\xff\xff"));
  }
}

}  // namespace
}  // namespace petit::tokenizer
