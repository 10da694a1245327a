#include "server/rpc/paragraphs.h"

#include <gtest/gtest.h>

#include <string>

namespace petit::serving {
namespace {

TEST(ParagraphsTest, PutTogetherTheyAreTheText) {
  for (const std::string text : {"", "\n", "one", "one\n", "\n\none\r\n\r\ntwo\n three", "\r", "a\rb\n", "\r\n"}) {
    std::string joined;
    for (const Paragraph& paragraph : SplitParagraphs(text)) {
      EXPECT_EQ(paragraph.text.find('\n'), std::string_view::npos);
      joined.append(paragraph.text).append(paragraph.newline);
    }
    EXPECT_EQ(joined, text);
  }
}

TEST(ParagraphsTest, EachEndsAtItsNewline) {
  const auto paragraphs = SplitParagraphs("one\r\n\ntwo");
  ASSERT_EQ(paragraphs.size(), 3);
  EXPECT_EQ(paragraphs[0].text, "one");
  EXPECT_EQ(paragraphs[0].newline, "\r\n");
  EXPECT_EQ(paragraphs[1].text, "");
  EXPECT_EQ(paragraphs[2].text, "two");
  EXPECT_EQ(paragraphs[2].newline, "");
}

TEST(IsBlankTest, UnicodeWhiteSpaceIsBlank) {
  for (const char* text : {"", " \t\r\n\v\f", "\u00a0", "\u3000 \u2003", "\u2028\ufeff\u200b"}) {
    EXPECT_TRUE(IsBlank(text)) << text;
  }
}

TEST(IsBlankTest, AnythingElseIsNot) {
  for (const char* text : {"a", "  é", "\u3001", "\u00a0.", "\xc2"}) EXPECT_FALSE(IsBlank(text)) << text;
}

}  // namespace
}  // namespace petit::serving
