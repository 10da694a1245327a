// Words of a translation beside the reference's.
#include "client/report/word_diff.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace petit::report {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// "same [extra] {missing}".
std::string Show(const std::string& hypothesis, const std::string& reference) {
  std::string text;
  for (const DiffPart& part : DiffWords(hypothesis, reference)) {
    text += part.span == Span::kSame    ? part.text
            : part.span == Span::kExtra ? "[" + part.text + "]"
                                        : "{" + part.text + "}";
  }
  return text;
}

TEST(SplitWords, KeepsWhiteSpaceSoThatWordsMakeTheText) {
  EXPECT_THAT(SplitWords(" Ce  paquet\tcontient"), ElementsAre(" Ce", "  paquet", "\tcontient"));
  EXPECT_THAT(SplitWords("  "), IsEmpty());
  EXPECT_THAT(SplitWords(""), IsEmpty());
}

TEST(SplitWords, TakesPunctuationOffAWordsEnds) {
  EXPECT_THAT(SplitWords("(un e.g. mot)."), ElementsAre("(", "un", " e.g", ".", " mot", ")", "."));
  EXPECT_THAT(SplitWords("..."), ElementsAre(".", ".", "."));
}

TEST(SplitWords, SplitsScriptsThatHaveNoSpaces) {
  EXPECT_THAT(SplitWords("漢字かな ok"), ElementsAre("漢", "字", "か", "な", " ok"));
  EXPECT_THAT(SplitWords("이 패키지는"), ElementsAre("이", " 패키지는"));
}

TEST(DiffWords, MarksWhatIsExtraAndWhatIsMissing) {
  EXPECT_EQ(Show("Ce paquet fournit la documentation.", "Ce paquet contient la documentation."),
            "Ce paquet[ fournit]{ contient} la documentation.");
  EXPECT_EQ(Show("a c d", "a b c"), "a{ b} c[ d]");
  EXPECT_EQ(Show("a b", "a b"), "a b");
}

TEST(DiffWords, AlignsByTheLongestCommonSubsequence) {
  EXPECT_EQ(Show("x a b c d", "a b c d y"), "[x] a b c d{ y}");
  EXPECT_EQ(Show("b a b", "a b b"), "[b] a{ b} b");
}

TEST(DiffWords, TakesWordsToBeEqualWhateverTheSpaceBeforeThem) { EXPECT_EQ(Show("a  b", "a b"), "a  b"); }

TEST(DiffWords, TakesTheSpacesOfFrenchForSpaces) {
  EXPECT_THAT(SplitWords("face\u00A0; un\u202F: \u3000x"),
              ElementsAre("face", "\u00A0;", " un", "\u202F:", " \u3000x"));
  EXPECT_EQ(Show("face\u00A0;", "face ;"), "face\u00A0;");
}

TEST(DiffWords, HoldsAgainstNothing) {
  EXPECT_EQ(Show("", "a b"), "{a b}");
  EXPECT_EQ(Show("a b", ""), "[a b]");
  EXPECT_EQ(Show("", ""), "");
}

TEST(DiffWords, CountsTheMiddleOfVeryLongTextsAsDifferent) {
  std::string ours = "begin";
  std::string theirs = "begin";
  for (int i = 0; i < 2500; ++i) {
    ours += " a" + std::to_string(i) + " same";
    theirs += " b" + std::to_string(i) + " same";
  }
  const std::vector<DiffPart> parts = DiffWords(ours + " end", theirs + " end");
  ASSERT_EQ(parts.size(), 4U);
  EXPECT_EQ(parts[0].text, "begin");
  EXPECT_EQ(parts[1].span, Span::kExtra);
  EXPECT_EQ(parts[2].span, Span::kMissing);
  EXPECT_EQ(parts[3].text, " same end");
}

}  // namespace
}  // namespace petit::report
