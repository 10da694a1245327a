// Paragraphs of a text: what stands between newlines.
#ifndef PETIT_SERVER_RPC_PARAGRAPHS_H_
#define PETIT_SERVER_RPC_PARAGRAPHS_H_

#include <string_view>
#include <vector>

namespace petit::serving {

struct Paragraph {
  std::string_view text;
  std::string_view newline;  // what ended it: "\n", "\r\n", or nothing at the text's end
};

// The paragraphs' texts and newlines, put together in order, are the text. Views into `text`.
std::vector<Paragraph> SplitParagraphs(std::string_view text);

// True if the text (UTF-8) is empty or has nothing but Unicode white space.
bool IsBlank(std::string_view text);

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_PARAGRAPHS_H_
