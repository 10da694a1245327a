// Which words of a translation differ from the reference.
#ifndef PETIT_CLIENT_REPORT_WORD_DIFF_H_
#define PETIT_CLIENT_REPORT_WORD_DIFF_H_

#include <string>
#include <vector>

namespace petit::report {

enum class Span { kSame, kExtra, kMissing };

// A run of words. `text` begins with the white space before its first word.
struct DiffPart {
  Span span = Span::kSame;
  std::string text;
};

// Words, in order; each carries the white space before it, so that together they are the text (but for white space at
// its end). Punctuation of ASCII at a word's ends is a word of its own, and so is each ideograph and kana.
std::vector<std::string> SplitWords(const std::string& text);

// `hypothesis` against `reference`, from a longest common subsequence of their words, white space not counted:
// kSame and kExtra are, together, the hypothesis; kMissing is the reference's where the hypothesis has nothing like it.
// Where the two are too long for that (more than 4 million pairs of words), the middle between what they begin and end
// with in common counts as different.
std::vector<DiffPart> DiffWords(const std::string& hypothesis, const std::string& reference);

}  // namespace petit::report

#endif  // PETIT_CLIENT_REPORT_WORD_DIFF_H_
