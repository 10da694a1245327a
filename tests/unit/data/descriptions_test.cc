#include "client/data/descriptions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace petit::data {

bool operator==(const TextPair& a, const TextPair& b) { return a.source == b.source && a.target == b.target; }
void PrintTo(const TextPair& pair, std::ostream* out) { *out << pair.source << " => " << pair.target; }

namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr char kEnglish[] = R"(Package: alpha
Description-md5: 00aa
Description-en: tool to count apples
 Alpha counts apples. It is fast, e.g. on ARM. Try it!
 .
 Features:
  * counts red apples,
    even very small ones
  * counts green apples
 .
 See the manual.

Package: beta
Description-md5: 00bb
Description-en: library of pears

Package: alpha-again
Description-md5: 00aa
Description-en: not the first of this digest
 Never seen.

Package: nameless
Description-en: has no digest

Package: french-only
Description-md5: 00cc
Description-fr: rien en anglais
)";

std::vector<Description> Read(const std::string& text, const char* language) {
  std::istringstream stream(text);
  return ReadDescriptions(stream, language);
}

Description Make(const std::string& synopsis, std::vector<std::string> lines) {
  return {.md5 = "00", .synopsis = synopsis, .lines = std::move(lines)};
}

TEST(ReadDescriptionsTest, ReadsStanzasOfTheLanguageInOrderEachDigestOnce) {
  const auto descriptions = Read(kEnglish, "en");
  ASSERT_EQ(descriptions.size(), 2U);
  EXPECT_EQ(descriptions[0].md5, "00aa");
  EXPECT_EQ(descriptions[0].synopsis, "tool to count apples");
  EXPECT_THAT(descriptions[0].lines, ElementsAre("Alpha counts apples. It is fast, e.g. on ARM. Try it!", ".",
                                                 "Features:", " * counts red apples,", "   even very small ones",
                                                 " * counts green apples", ".", "See the manual."));
  EXPECT_EQ(descriptions[1].md5, "00bb");
  EXPECT_THAT(descriptions[1].lines, IsEmpty());
}

TEST(ReadDescriptionsTest, AcceptsCarriageReturnsAndAMissingLastNewline) {
  const auto descriptions = Read("Package: a\r\nDescription-md5: 1\r\nDescription-en: x y\r\n z", "en");
  ASSERT_EQ(descriptions.size(), 1U);
  EXPECT_EQ(descriptions[0].md5, "1");
  EXPECT_EQ(descriptions[0].synopsis, "x y");
  EXPECT_THAT(descriptions[0].lines, ElementsAre("z"));
}

TEST(ReadDescriptionsTest, WhatIsNoListHoldsNothing) {
  EXPECT_THAT(Read("", "en"), IsEmpty());
  EXPECT_THAT(Read("<html>\n <p>404</p>\n</html>\n", "en"), IsEmpty());
  EXPECT_THAT(Read(std::string("\0\xff\n\0", 4), "en"), IsEmpty());
}

TEST(PairDescriptionsTest, PairsSynopsisSentencesAndBullets) {
  const Description french = Make("outil pour compter les pommes",
                                  {"Alpha compte les pommes. Il est rapide, p.ex. sur ARM. Essayez\xc2\xa0!", ".",
                                   "Fonctions\xc2\xa0:", " - compte les pommes rouges, même", "   les très petites",
                                   " - compte les pommes vertes", ".", "Voir le manuel."});
  EXPECT_THAT(
      PairDescriptions(Read(kEnglish, "en")[0], french),
      ElementsAre(
          TextPair{"tool to count apples", "outil pour compter les pommes"},
          TextPair{"Alpha counts apples.", "Alpha compte les pommes."},
          TextPair{"It is fast, e.g. on ARM.", "Il est rapide, p.ex. sur ARM."},
          TextPair{"Try it!", "Essayez\xc2\xa0!"}, TextPair{"Features:", "Fonctions\xc2\xa0:"},
          TextPair{"counts red apples, even very small ones", "compte les pommes rouges, même les très petites"},
          TextPair{"counts green apples", "compte les pommes vertes"}, TextPair{"See the manual.", "Voir le manuel."}));
}

TEST(PairDescriptionsTest, ItemsWhoseSentencesDifferInNumberAreOnePair) {
  EXPECT_THAT(PairDescriptions(Make("a b", {"One. Two."}), Make("c d", {"Un et", "deux."})),
              ElementsAre(TextPair{"a b", "c d"}, TextPair{"One. Two.", "Un et deux."}));
}

TEST(PairDescriptionsTest, ParagraphsOfDifferentShapeGiveNothing) {
  const TextPair title = {"a b", "c d"};
  EXPECT_THAT(PairDescriptions(Make("a b", {"One.", ".", "Two."}), Make("c d", {"Un. Deux."})), ElementsAre(title));
  EXPECT_THAT(PairDescriptions(Make("a b", {" * one", " * two"}), Make("c d", {" * un et deux"})), ElementsAre(title));
  EXPECT_THAT(PairDescriptions(Make("a b", {}), Make("c d", {"Un."})), ElementsAre(title));
  // The other paragraphs still count.
  EXPECT_THAT(
      PairDescriptions(Make("a b", {" * one", " * two", ".", "Three."}), Make("c d", {" * un et deux", ".", "Trois."})),
      ElementsAre(title, TextPair{"Three.", "Trois."}));
}

TEST(PairDescriptionsTest, LinesSetApartAreItemsOfTheirOwn) {
  EXPECT_THAT(PairDescriptions(Make("a b", {"Run:", "  first step", "  second step"}),
                               Make("c d", {"Lancer :", "  étape un", "  étape deux"})),
              ElementsAre(TextPair{"a b", "c d"}, TextPair{"Run:", "Lancer :"}, TextPair{"first step", "étape un"},
                          TextPair{"second step", "étape deux"}));
}

TEST(PairDescriptionsTest, LeavesOutWhatIsNoTranslation) {
  EXPECT_THAT(PairDescriptions(Make("GNU Emacs", {}), Make("GNU Emacs", {})), IsEmpty());
  EXPECT_THAT(PairDescriptions(Make("3.14", {}), Make("3,14", {})), IsEmpty());
  const std::string sentence = "This sentence is far too long to mean what stands on the other side of the pair";
  EXPECT_THAT(PairDescriptions(Make(sentence, {}), Make("non", {})), IsEmpty());
  EXPECT_THAT(PairDescriptions(Make("a", {}), Make("une chose", {})), ElementsAre(TextPair{"a", "une chose"}));
}

TEST(SplitSentencesTest, SplitsBeforeCapitalsDigitsAndIdeographs) {
  EXPECT_THAT(SplitSentences("One. Two! Three? 4 more."), ElementsAre("One.", "Two!", "Three?", "4 more."));
  EXPECT_THAT(SplitSentences("C'est bon. Été. À voir. «\xc2\xa0Oui.\xc2\xa0»"),
              ElementsAre("C'est bon.", "Été.", "À voir.", "«\xc2\xa0Oui.\xc2\xa0»"));
  EXPECT_THAT(SplitSentences("He said \"no.\" (Really.) \"Yes.\""),
              ElementsAre("He said \"no.\"", "(Really.)", "\"Yes.\""));
  EXPECT_THAT(SplitSentences("도구입니다. 빠릅니다."), ElementsAre("도구입니다.", "빠릅니다."));
}

TEST(SplitSentencesTest, DoesNotSplitInsideNumbersNamesAndAbbreviations) {
  for (const char* whole : {"Version 3.14 is out", "See foo.bar for more", "Uses e.g. ARM (cf. Linux) etc. Now",
                            "and so on... and on", "no stop", "v1.2. and more", "."}) {
    EXPECT_THAT(SplitSentences(whole), ElementsAre(whole));
  }
  EXPECT_THAT(SplitSentences(""), IsEmpty());
}

}  // namespace
}  // namespace petit::data
