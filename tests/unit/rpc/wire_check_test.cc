#include "server/rpc/wire_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "petit/v1/translation.pb.h"

namespace petit::serving {
namespace {

using testing::HasSubstr;

const google::protobuf::Descriptor& TranslateType() { return *v1::TranslateRequest::descriptor(); }

// A serialized request whose texts and model are these bytes; Protobuf complains and serializes bad UTF-8 all the same.
std::string Request(const std::string& model, const std::vector<std::string>& texts) {
  v1::TranslateRequest request;
  request.mutable_options()->set_model(model);
  for (const std::string& text : texts) request.add_texts(text);
  return request.SerializeAsString();
}

TEST(WireCheckTest, NamesTheRepeatedFieldItsIndexAndTheByte) {
  const std::string wire = Request("student", {"good", "also good", "seventeen bytes: \xff"});
  v1::TranslateRequest parsed;
  ASSERT_FALSE(parsed.ParseFromString(wire)) << "Protobuf takes bad UTF-8: this file is not needed any more";
  const WireProblem problem = FindWireProblem(wire, TranslateType());
  EXPECT_EQ(problem.field, "texts[2]");
  EXPECT_EQ(problem.message, "texts[2]: byte 17 is not valid UTF-8; texts must be UTF-8");
}

TEST(WireCheckTest, NamesAFieldInsideAMessage) {
  const WireProblem problem = FindWireProblem(Request("st\xc3", {"good"}), TranslateType());
  EXPECT_EQ(problem.field, "options.model");
  EXPECT_THAT(problem.message, HasSubstr("byte 2"));
}

TEST(WireCheckTest, SurrogatesAndOverlongFormsAreNotUtf8) {
  for (const char* text : {"\xed\xa0\x80", "\xc0\xaf", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_EQ(FindWireProblem(Request("student", {text}), TranslateType()).field, "texts[0]");
  }
}

TEST(WireCheckTest, GarbageIsNamedAsSuchWithItsOffset) {
  const struct {
    std::string wire;
    std::string what;
  } cases[] = {
      {"\xff\xff\xff\xff", "byte 0: no field starts like this"},
      {std::string("\x00", 1), "byte 0: no field starts like this"},
      {"\x12\x05"
       "ab",
       "byte 1: a field of 5 bytes reaches past the end"},
      {"\x12\xff", "a length does not end"},
      {"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "a number does not end"},
      {"\x19\x01", "8 bytes are wanted"},
      {"\x1d\x01", "4 bytes are wanted"},
      {"\x1e", "no wire type 6"},
      {"\x1c", "a group ends that has not begun"},
      {"\x1b\x08\x01", "a group does not end"},
      {"\x0a\x03\x0a\x09"
       "a",
       "(in options): a field of 9 bytes reaches past the end"},
  };
  for (const auto& [wire, what] : cases) {
    const WireProblem problem = FindWireProblem(wire, TranslateType());
    EXPECT_EQ(problem.field, "");
    EXPECT_THAT(problem.message, HasSubstr("petit.v1.TranslateRequest"));
    EXPECT_THAT(problem.message, HasSubstr(what));
  }
}

TEST(WireCheckTest, DeepNestingEndsBeforeTheStackDoes) {
  const std::string wire(1 << 20, '\x1b');
  EXPECT_THAT(FindWireProblem(wire, TranslateType()).message, HasSubstr("nested too deeply"));
}

TEST(WireCheckTest, UnknownFieldsAreSkipped) {
  std::string wire = "\xa2\x06\x02\xff\xff";  // field 100, bytes
  wire += "\xa3\x06\x08\x01\xa4\x06";         // field 100, a group
  wire += std::string("\x12\x01\xff", 3);     // texts
  EXPECT_EQ(FindWireProblem(wire, TranslateType()).field, "texts[0]");
}

TEST(WireCheckTest, WithoutFieldKeepsTheOtherFields) {
  v1::StreamTranslateRequest request;
  request.mutable_options()->set_model("student");
  request.set_id(7);
  request.set_text("bad \xff");
  v1::StreamTranslateRequest rest;
  ASSERT_TRUE(
      rest.ParseFromString(WithoutField(request.SerializeAsString(), v1::StreamTranslateRequest::kTextFieldNumber)));
  EXPECT_EQ(rest.id(), 7);
  EXPECT_EQ(rest.options().model(), "student");
  EXPECT_FALSE(rest.has_text());
}

}  // namespace
}  // namespace petit::serving
