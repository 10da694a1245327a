#include "server/printable.h"

#include <gtest/gtest.h>

#include <string>

namespace petit::serving {
namespace {

TEST(PrintableTest, NoLineBreakOrControlCharacterStays) {
  EXPECT_EQ(Printable("a\nb\r\x1b[31m\x7f", 64), "a b??[31m?");
  EXPECT_EQ(Printable("next\xc2\x85line \u2028 paragraph\u2029", 64), "next?line ? paragraph?");
  EXPECT_EQ(Printable(std::string("nul\0", 4), 64), "nul?");
}

TEST(PrintableTest, TextStaysAsItIs) {
  EXPECT_EQ(Printable("no-break\u00a0space, é, 日本, 😀", 64), "no-break\u00a0space, é, 日本, 😀");
  EXPECT_EQ(Printable("", 64), "");
}

TEST(PrintableTest, BadUtf8BecomesVisible) {
  EXPECT_EQ(Printable("a\xff\xc3(\xe2\x82", 64), "a?\?(??");
  EXPECT_EQ(Printable("\x80\x80", 64), "??");
}

TEST(PrintableTest, TheCutFallsBetweenCharacters) {
  EXPECT_EQ(Printable("é", 1), "");
  EXPECT_EQ(Printable("abc\u20ac", 5), "abc");
  EXPECT_EQ(Printable("abcdef", 3), "abc");
}

}  // namespace
}  // namespace petit::serving
