// Package descriptions of a Debian archive, and the sentence pairs in a description and its translation.
#ifndef PETIT_CLIENT_DATA_DESCRIPTIONS_H_
#define PETIT_CLIENT_DATA_DESCRIPTIONS_H_

#include <istream>
#include <string>
#include <string_view>
#include <vector>

namespace petit::data {

// One stanza of a Translation file.
struct Description {
  std::string md5;                 // Description-md5: of the English text, so translations carry it too
  std::string synopsis;            // the first line
  std::vector<std::string> lines;  // of the body, without the leading space of the format; "." parts paragraphs
};

// Reads a Translation-LANGUAGE list. Stanzas without a digest or a description in `language` are skipped; of several
// with one digest the first counts. Order is the file's.
std::vector<Description> ReadDescriptions(std::istream& stream, std::string_view language);

struct TextPair {
  std::string source;
  std::string target;
};

// The synopses, then the bodies paragraph by paragraph, in these item by item (a bullet, a line set apart, running
// text), in these sentence by sentence: each as long as both sides have the same number of them. Where the numbers
// of sentences differ the items are one pair; where those of items or paragraphs differ there is none. White space
// is single spaces; a pair without a letter, with an empty side or with two equal sides is left out, and so is one
// whose sides are too different in length to be translations.
std::vector<TextPair> PairDescriptions(const Description& source, const Description& target);

// Sentences end with . ! or ? before a space and a capital, digit or ideograph; "e.g." and its like end none.
std::vector<std::string> SplitSentences(std::string_view text);

}  // namespace petit::data

#endif  // PETIT_CLIENT_DATA_DESCRIPTIONS_H_
