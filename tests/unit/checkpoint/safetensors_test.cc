// What is wrong in one safetensors file is said before anything else is looked at.
#include "models/checkpoint/safetensors.h"

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/checkpoint/file.h"
#include "tests/unit/checkpoint/test_files.h"

namespace petit::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

absl::StatusOr<std::vector<SafetensorsEntry>> Parse(const TempDir& dir, const std::string& bytes) {
  WriteFile(dir / "f.safetensors", bytes);
  const absl::StatusOr<ReadableFile> file = ReadableFile::Open(dir / "f.safetensors");
  EXPECT_TRUE(file.ok()) << file.status();
  return ReadSafetensorsHeader(*file);
}

TEST(SafetensorsTest, GivesEntriesInTheOrderOfTheirData) {
  const TempDir dir;
  const std::string header =
      R"( {"b": {"data_offsets": [8, 12], "shape": [2, 1], "dtype": "F16"}, "__metadata__": {"format": "pt", "x": "y"},
           "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
           "s": {"dtype": "BF16", "shape": [], "data_offsets": [12, 14]},
           "e": {"dtype": "F32", "shape": [0, 9], "data_offsets": [8, 8]}}   )";
  const auto entries = Parse(dir, SafetensorsBytes(header, std::string(14, '\0')));
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_EQ(entries->size(), 4u);
  const std::uint64_t start = 8 + header.size();
  const SafetensorsEntry& a = (*entries)[0];
  const SafetensorsEntry& e = (*entries)[1];
  const SafetensorsEntry& b = (*entries)[2];
  const SafetensorsEntry& s = (*entries)[3];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.begin, start);
  EXPECT_EQ(a.end, start + 8);
  EXPECT_EQ(e.name, "e");
  EXPECT_EQ(b.name, "b");
  EXPECT_EQ(b.dtype, DType::kF16);
  EXPECT_THAT(b.shape, ElementsAre(2, 1));
  EXPECT_EQ(s.dtype, DType::kBF16);
  EXPECT_THAT(s.shape, IsEmpty());
  EXPECT_EQ(s.end, start + 14);
}

TEST(SafetensorsTest, AFileWithoutTensorsIsSound) {
  const TempDir dir;
  const auto entries = Parse(dir, SafetensorsBytes("{}", ""));
  ASSERT_TRUE(entries.ok()) << entries.status();
  EXPECT_THAT(*entries, IsEmpty());
}

struct BadHeader {
  const char* header;
  std::size_t data_bytes;
  const char* message;
};

class BadHeaderTest : public ::testing::TestWithParam<BadHeader> {};

TEST_P(BadHeaderTest, IsRefusedWithFileTensorAndWhatWasExpected) {
  const TempDir dir;
  const auto& [header, data_bytes, message] = GetParam();
  const absl::Status status = Parse(dir, SafetensorsBytes(header, std::string(data_bytes, '\0'))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()), StartsWith(dir / "f.safetensors: "));
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
}

INSTANTIATE_TEST_SUITE_P(Json, BadHeaderTest,
                         ::testing::Values(BadHeader{"", 0, "the header is not well-formed JSON at byte"},
                                           BadHeader{"{", 0, "the header is not well-formed JSON"},
                                           BadHeader{"{}}", 0, "not well-formed JSON at byte 3"},
                                           BadHeader{"[]", 0, "the header is an array, not an object"},
                                           BadHeader{"null", 0, "the header is null, not an object"},
                                           BadHeader{"7", 0, "the header is a number"},
                                           BadHeader{"\"x\"", 0, "the header is a string"},
                                           BadHeader{R"({"\uD800": {}})", 0, "not well-formed JSON"},
                                           BadHeader{"{\"\xff\": {}}", 0, "not well-formed"},
                                           BadHeader{R"({"a": {"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}})",
                                                     4, "not well-formed JSON"}));

INSTANTIATE_TEST_SUITE_P(
    Structure, BadHeaderTest,
    ::testing::Values(
        BadHeader{R"({"a": 1})", 0, "tensor 'a' has a number in a wrong place; expected {\"dtype\""},
        BadHeader{R"({"a": []})", 0, "tensor 'a' has an array in a wrong place"},
        BadHeader{R"({"a": {}})", 0, "tensor 'a' lacks one of dtype, shape, data_offsets"},
        BadHeader{R"({"a": {"dtype":"F32","shape":[1]}})", 4, "tensor 'a' lacks one of"},
        BadHeader{R"({"a": {"dtype":{},"shape":[1],"data_offsets":[0,4]}})", 4, "tensor 'a' has an object"},
        BadHeader{R"({"a": {"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})", 4, "tensor 'a' has an array"},
        BadHeader{R"({"a": {"dtype":"F32","shape":[true],"data_offsets":[0,4]}})", 4, "tensor 'a' has a boolean"},
        BadHeader{R"({"a": {"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "tensor 'a' has a negative number"},
        BadHeader{R"({"a": {"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4,
                  "a number that is no 64-bit integer"},
        BadHeader{R"({"a": {"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]}})", 4, "above 2^63 - 1"},
        BadHeader{R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "fewer than two data_offsets"},
        BadHeader{R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}})", 4, "more than two data_offsets"},
        BadHeader{R"({"a": {"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4,
                  "tensor 'a' has more than 8 dimensions"},
        BadHeader{R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4, "has the unknown field 'x'"},
        BadHeader{R"({"a": {"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4,
                  "tensor 'a' has the field 'dtype' twice"},
        BadHeader{
            R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}, "a": {"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
            8, "the header has the tensor 'a' twice"},
        BadHeader{R"({"__metadata__": {}, "__metadata__": {}})", 0, "twice"},
        BadHeader{R"({"__metadata__": {"format": 1}})", 0, "has a number in __metadata__; expected strings"},
        BadHeader{R"({"__metadata__": []})", 0, "has an array in __metadata__"}));

INSTANTIATE_TEST_SUITE_P(
    DTypesAndSizes, BadHeaderTest,
    ::testing::Values(BadHeader{R"({"a": {"dtype":"I64","shape":[1],"data_offsets":[0,8]}})", 8,
                                "tensor 'a' has dtype 'I64'; expected F32, BF16 or F16"},
                      BadHeader{R"({"a": {"dtype":"f32","shape":[1],"data_offsets":[0,4]}})", 4, "has dtype 'f32'"},
                      BadHeader{R"({"a": {"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
                                "tensor 'a' has 4 bytes of data; its shape [2] of F32 needs 8"},
                      BadHeader{R"({"a": {"dtype":"F16","shape":[1],"data_offsets":[0,4]}})", 4, "of F16 needs 2"},
                      BadHeader{R"({"a": {"dtype":"F32","shape":[],"data_offsets":[0,0]}})", 0,
                                "its shape [] of F32 needs 4"},
                      BadHeader{R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4,
                                "tensor 'a' has data_offsets [4, 0]; the end must not be before the beginning"},
                      BadHeader{R"({"a": {"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
                                "tensor 'a' has shape [4294967296, 4294967296], which overflows"},
                      BadHeader{R"({"a": {"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0,
                                "which overflows"}));

INSTANTIATE_TEST_SUITE_P(
    Layout, BadHeaderTest,
    ::testing::Values(
        BadHeader{
            R"({"a": {"dtype":"F32","shape":[2],"data_offsets":[0,8]}, "b": {"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
            8, "tensor 'b' begins at byte 4 of the data; expected 8: it overlaps the tensor before it"},
        BadHeader{
            R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}, "b": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
            4, "overlaps the tensor before it"},
        BadHeader{
            R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}, "b": {"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
            12, "tensor 'b' begins at byte 8 of the data; expected 4: there is a gap before it"},
        BadHeader{R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "expected 0: there is a gap"},
        BadHeader{R"({"a": {"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7,
                  "tensor 'a' ends at byte 8 of the data, but the file has 7 bytes of data"},
        BadHeader{R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 9,
                  "has 5 bytes behind the last tensor; expected none"},
        BadHeader{"{}", 1, "has 1 bytes behind the last tensor"}));

TEST(SafetensorsTest, RefusesWhatFollowsANul) {
  const TempDir dir;
  const std::string header("{}\0{\"a\": 1}", 11);
  EXPECT_THAT(std::string(Parse(dir, SafetensorsBytes(header, "")).status().message()),
              HasSubstr("contains a NUL byte"));
}

TEST(SafetensorsTest, RefusesAFileTooShortForItsLength) {
  const TempDir dir;
  for (std::size_t size = 0; size < 8; ++size) {
    EXPECT_THAT(std::string(Parse(dir, std::string(size, '\0')).status().message()),
                HasSubstr("a safetensors file begins with 8 bytes of length"));
  }
}

TEST(SafetensorsTest, RefusesAHeaderLongerThanTheFileBeforeAllocatingIt) {
  const TempDir dir;
  for (const std::uint64_t length : {std::uint64_t{3}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    std::string bytes = SafetensorsBytes("{}", "");
    std::memcpy(bytes.data(), &length, 8);
    EXPECT_THAT(std::string(Parse(dir, bytes).status().message()), HasSubstr("but only 2 bytes follow"));
  }
}

TEST(SafetensorsTest, RefusesAHeaderAboveTheLimitThoughTheFileHasIt) {
  const TempDir dir;
  std::string bytes = SafetensorsBytes("{}", "");
  const std::uint64_t length = 100'000'001;
  std::memcpy(bytes.data(), &length, 8);
  WriteFile(dir / "f", bytes);
  std::filesystem::resize_file(dir / "f", length + 8);  // a hole: takes no room
  const absl::StatusOr<ReadableFile> file = ReadableFile::Open(dir / "f");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(std::string(ReadSafetensorsHeader(*file).status().message()),
              HasSubstr("the header's length is 100000001 bytes; at most 100000000 are allowed"));
}

TEST(SafetensorsTest, RefusesMoreTensorsThanAnyModelHas) {
  const TempDir dir;
  std::string header = "{";
  for (int i = 0; i <= 65536; ++i) {
    header += (i == 0 ? "\"" : ",\"") + std::to_string(i) + R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  }
  EXPECT_THAT(std::string(Parse(dir, SafetensorsBytes(header + "}", "")).status().message()),
              HasSubstr("has more than 65536 tensors"));
}

TEST(SafetensorsTest, DeepNestingEndsTheParseAtOnce) {
  const TempDir dir;
  const std::string header = "{\"a\": " + std::string(1'000'000, '[');
  EXPECT_THAT(std::string(Parse(dir, SafetensorsBytes(header, "")).status().message()),
              HasSubstr("an array in a wrong place"));
}

TEST(SafetensorsTest, NamesInMessagesAreEscapedAndCut) {
  const TempDir dir;
  const std::string header = "{\"\\n\\u001b" + std::string(1000, 'x') + "\": 1}";
  const std::string message(Parse(dir, SafetensorsBytes(header, "")).status().message());
  EXPECT_THAT(message, HasSubstr("tensor '\\n\\x1bxxx"));
  EXPECT_THAT(message, HasSubstr("xxx...'"));
  EXPECT_LT(message.size(), 600u);
}

}  // namespace
}  // namespace petit::checkpoint
