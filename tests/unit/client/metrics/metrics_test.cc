#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/metrics/bleu.h"
#include "client/metrics/chrf.h"
#include "client/metrics/rouge.h"
#include "client/metrics/text.h"

namespace petit::metrics {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Strings = std::vector<std::string>;

// The example of sacreBLEU's README.
Bleu ReadmeExample(int max_order) {
  Bleu bleu({.max_order = max_order});
  bleu.Add("The dog bit the man.", Strings{"The dog bit the man.", "The dog had bit the man."});
  bleu.Add("It wasn't surprising.", Strings{"It was not unexpected.", "No one was surprised."});
  bleu.Add("The man had just bitten him.", Strings{"The man bit him first.", "The man had bitten the dog."});
  return bleu;
}

TEST(BleuTest, GivesTheFigureOfSacreBleusReadme) {
  const BleuScore score = ReadmeExample(4).Score();
  EXPECT_NEAR(score.score, 48.530827, 5e-7);
  EXPECT_EQ(score.statistics.hypothesis_length, 17);
  EXPECT_EQ(score.statistics.reference_length, 18);
  EXPECT_EQ(ReadmeExample(4).Signature(), "nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp");
}

TEST(BleuTest, MaximumOrderCounts) {
  const double want[] = {77.65, 60.50, 53.93, 48.53, 46.14, 43.28};
  for (int order = 1; order <= 6; ++order) EXPECT_NEAR(ReadmeExample(order).Score().score, want[order - 1], 5e-3);
  // Orders that cannot be are brought into range.
  EXPECT_EQ(ReadmeExample(0).Score().score, ReadmeExample(1).Score().score);
  EXPECT_EQ(ReadmeExample(9).Score().score, ReadmeExample(6).Score().score);
}

TEST(BleuTest, NothingIsZero) {
  EXPECT_EQ(Bleu().Score().score, 0.0);
  EXPECT_EQ(Bleu().Signature(), "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp");
  Bleu bleu;
  bleu.AddPair("", "a b c");
  bleu.AddPair("", "");
  EXPECT_EQ(bleu.Score().score, 0.0);
  EXPECT_EQ(bleu.Score().brevity_penalty, 0.0);
  EXPECT_EQ(SentenceBleu("", Strings{""}).score, 0.0);
}

TEST(BleuTest, APerfectCorpusIsALittleMoreThanAHundred) {
  Bleu bleu;
  bleu.AddPair("the quick brown fox jumps", "the quick brown fox jumps");
  EXPECT_EQ(bleu.Score().score, 100.00000000000004);
}

TEST(BleuTest, ShortSentencesAreJudgedByTheOrdersTheyHave) {
  EXPECT_NEAR(SentenceBleu("a b", Strings{"a b"}).score, 100.0, 1e-9);
  // Without effective order a corpus that has no 4-gram loses all.
  EXPECT_NEAR(ComputeBleu(ComputeBleuStatistics("a b", Strings{"a b"})).score, 0.0, 1e-9);
}

TEST(BleuTest, TheClosestReferenceCountsTiesToTheShorter) {
  EXPECT_EQ(ComputeBleuStatistics("a b c", Strings{"a b c d", "a b", "a b c d e"}).reference_length, 2);
  EXPECT_EQ(ComputeBleuStatistics("a b c", Strings{"a", "a b c d"}).reference_length, 4);
}

TEST(BleuTest, MatchesAreClippedToTheReferenceThatHasMost) {
  const BleuStatistics statistics = ComputeBleuStatistics("a a a", Strings{"a", "a a"});
  EXPECT_EQ(statistics.correct[0], 2);
  EXPECT_EQ(statistics.total[0], 3);
}

TEST(BleuTest, SumsOfStatisticsAreTheCorpus) {
  Bleu whole;
  Bleu sum;
  for (const char* text : {"the cat sat on the mat .", "a dog", ""}) {
    whole.AddPair(text, "the cat on the mat");
    sum.Add(ComputeBleuStatistics(text, Strings{"the cat on the mat"}));
  }
  EXPECT_EQ(whole.Score().score, sum.Score().score);
  EXPECT_EQ(whole.Signature(), sum.Signature());
}

TEST(Tokenize13aTest, SplitsAsMtevalDoes) {
  EXPECT_THAT(Tokenize13a("L'été, «\xc2\xa0oui\xc2\xa0»."), ElementsAre("L'été", ",", "«", "oui", "»", "."));
  EXPECT_THAT(Tokenize13a("1,234.56 x.y 3-4 a-b"), ElementsAre("1,234.56", "x", ".", "y", "3", "-", "4", "a-b"));
  EXPECT_THAT(Tokenize13a("&lt;b&gt; &amp;amp;"), ElementsAre("<", "b", ">", "&", "amp", ";"));
  EXPECT_THAT(Tokenize13a("  \n"), IsEmpty());
}

TEST(ChrfTest, GivesTheVectorsOfThePaperWithBeta3) {
  EXPECT_DOUBLE_EQ(SentenceChrf("a b c", Strings{"abc"}, 3), 100.0);
  EXPECT_DOUBLE_EQ(SentenceChrf("aa", Strings{"ab"}, 3), 25.0);
  Chrf corpus(3);
  corpus.AddPair("a", "a");
  corpus.AddPair("b", "c");
  EXPECT_DOUBLE_EQ(corpus.Score(), 50.0);
}

TEST(ChrfTest, NothingIsZero) {
  EXPECT_EQ(Chrf().Score(), 0.0);
  EXPECT_EQ(SentenceChrf("", Strings{"a"}), 0.0);
  EXPECT_EQ(SentenceChrf("a", Strings{""}), 0.0);
  EXPECT_EQ(SentenceChrf("a", Strings{"b"}), 0.0);
}

TEST(ChrfTest, TheBestReferenceCounts) {
  EXPECT_DOUBLE_EQ(SentenceChrf("abcdef", Strings{"xyz", "abcdef"}), 100.0);
  Chrf chrf;
  chrf.Add("ab", Strings{"ab", "cd"});
  EXPECT_EQ(chrf.Signature(), "nrefs:2|case:mixed|eff:yes|nc:6|nw:0|space:no");
  chrf.AddPair("ab", "ab");
  EXPECT_EQ(chrf.Signature(), "nrefs:var|case:mixed|eff:yes|nc:6|nw:0|space:no");
}

TEST(RougeTest, GivesTheKnownVectors) {
  EXPECT_DOUBLE_EQ(SentenceRougeL("testing one", "testing one two", RougeWords::kAscii).f1, 0.8);
  EXPECT_DOUBLE_EQ(SentenceRougeL("testing one two", "testing one", RougeWords::kAscii).recall, 1.0);
  EXPECT_EQ(SentenceRougeL("", "a", RougeWords::kAscii).f1, 0.0);
  EXPECT_EQ(SentenceRougeL("é", "é", RougeWords::kAscii).f1, 0.0);
  EXPECT_EQ(RougeL(RougeWords::kAscii).Score().f1, 0.0);
}

TEST(RougeTest, OnlyUnicodeWordsTellAccentsApart) {
  EXPECT_DOUBLE_EQ(SentenceRougeL("pèché", "péché", RougeWords::kAscii).f1, 1.0);
  EXPECT_DOUBLE_EQ(SentenceRougeL("pèché", "péché", RougeWords::kUnicode).f1, 0.0);
  EXPECT_DOUBLE_EQ(SentenceRougeL("PÉCHÉ", "péché", RougeWords::kUnicode).f1, 1.0);
}

TEST(RougeTest, LowersTheTwoLettersThatBecomeAscii) {
  EXPECT_THAT(RougeTokens("\xe2\x84\xaa", RougeWords::kAscii), ElementsAre(U"k"));
  EXPECT_THAT(RougeTokens("\xc4\xb0X", RougeWords::kAscii), ElementsAre(U"i", U"x"));
}

TEST(TextTest, ABadByteEqualsOnlyItself) {
  const std::u32string codes = DecodeUtf8("a\xff\xc3(\xed\xa0\x80\xe2\x82");
  EXPECT_EQ(codes.size(), 9U);
  EXPECT_EQ(codes[1], 0x1100FFU);
  EXPECT_FALSE(IsWord(codes[1]));
  EXPECT_FALSE(IsSpace(codes[1]));
  EXPECT_EQ(Lower(codes), codes);
}

TEST(TextTest, LowersSingleCodePoints) {
  EXPECT_EQ(Lower(U"AZÀÞ×ÿŸΣΑСԱႠᏲἈⱭꙀＡ𐐀𞤀"), U"azàþ×ÿÿσαсաⴀᏺἀɑꙁａ𐐨𞤢");
  EXPECT_EQ(Lower(U"ĲĳŹźǄǅǆǇǲȺȾ"), U"ĳĳźźǆǆǆǉǳⱥⱦ");
}

}  // namespace
}  // namespace petit::metrics
