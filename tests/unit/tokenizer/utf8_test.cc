#include "models/tokenizer/utf8.h"

#include <gtest/gtest.h>

#include <string>

#include "models/tokenizer/tokenizer.h"

namespace petit::tokenizer {
namespace {

using namespace std::string_literals;  // NOLINT(google-build-using-namespace): there is no other way to a literal

TEST(FirstInvalidUtf8Test, AcceptsWellFormedText) {
  for (const std::string& text : {""s, "plain"s, "a\0b"s, "\x7f"s, "\xc2\x80"s, "\xdf\xbf"s, "\xe0\xa0\x80"s,
                                  "\xed\x9f\xbf"s, "\xee\x80\x80"s, "\xef\xbf\xbf"s, "\xf0\x90\x80\x80"s,
                                  "\xf4\x8f\xbf\xbf"s, "\xc3\xa9t\xc3\xa9 \xed\x95\x9c \xf0\x9f\x98\x80"s}) {
    EXPECT_EQ(FirstInvalidUtf8(text), -1) << testing::PrintToString(text);
  }
}

TEST(FirstInvalidUtf8Test, FindsWhatIsNotWellFormed) {
  const std::pair<std::string, int> bad[] = {
      {"\x80", 0},                       // continues nothing
      {"ab\xbf", 2},                     //
      {"\xc0\x80", 0},                   // overlong NUL
      {"\xc1\xbf", 0},                   // overlong
      {"a\xe0\x9f\xbf", 1},              // overlong
      {"\xf0\x8f\xbf\xbf", 0},           // overlong
      {"\xed\xa0\x80", 0},               // U+D800
      {"\xed\xbf\xbf", 0},               // U+DFFF
      {"x\xed\xa0\xbd\xed\xb8\x80", 1},  // a surrogate pair, CESU-8
      {"\xf4\x90\x80\x80", 0},           // U+110000
      {"\xf5\x80\x80\x80", 0},           // beyond
      {"\xff", 0},                       //
      {"\xfe", 0},                       //
      {"\xc3", 0},                       // cut short
      {"ok\xe2\x82", 2},                 // cut short
      {"\xf0\x9f\x98", 0},               // cut short
      {"\xe2\x28\xa1", 0},               // no continuation
      {"\xe2\x82\x28", 0},               // no continuation
      {"\xc3\xc3\xa9", 0},               //
  };
  for (const auto& [text, offset] : bad) EXPECT_EQ(FirstInvalidUtf8(text), offset) << testing::PrintToString(text);
}

TEST(StripTest, RemovesUnicodeWhiteSpaceAtTheEndsOnly) {
  EXPECT_EQ(Strip("\t\n\v\f\r\x1c\x1d\x1e\x1f a b\xc2\x85\xc2\xa0\xe1\x9a\x80\xe2\x80\xa8\xe3\x80\x80"), "a b");
  EXPECT_EQ(StripLeft("\xe2\x80\x83x\xe2\x80\x83"), "x\xe2\x80\x83");
  EXPECT_EQ(StripRight("\xe2\x80\x83x\xe2\x80\x83"), "\xe2\x80\x83x");
  EXPECT_EQ(Strip(" \xe2\x80\x8b "), "\xe2\x80\x8b");  // the zero-width space is none
  EXPECT_EQ(Strip(" \n"), "");
}

}  // namespace
}  // namespace petit::tokenizer
