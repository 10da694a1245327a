// A spiece.model that nobody vouches for. SentencePiece itself is not instrumented here: what is looked for is what our
// checks let through to it.
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "models/tokenizer/tokenizer.h"
#include "tests/fuzz/fuzz.h"

using petit::fuzz::Check;
using petit::tokenizer::FirstInvalidUtf8;
using petit::tokenizer::Tokenizer;

namespace {

// In memory where there is such a place, and gone with the process.
class Directory {
 public:
  Directory() { Check(mkdtemp(path_) != nullptr, "a directory can be made"); }
  ~Directory() {
    std::remove(model().c_str());
    rmdir(path_);
  }
  const char* path() const { return path_; }
  std::string model() const { return std::string(path_) + "/spiece.model"; }

 private:
  char path_[32] = "/dev/shm/petit-fuzz-XXXXXX";
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Directory directory;
  std::ofstream(directory.model(), std::ios::binary) << petit::fuzz::Text(data, size);
  std::string error;
  const std::unique_ptr<Tokenizer> tokenizer = Tokenizer::Load(directory.path(), &error);
  if (tokenizer == nullptr) {
    Check(error.find("spiece.model") != std::string::npos, "a refusal names the file", error);
    return 0;
  }
  for (const char* text : {"", "the house is small", "L'e\u0301te\u0301, \u2126 \ufb01 \u1e9b\u0323 \u3000 ①", "안녕 😀",
                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}) {
    const petit::tokenizer::Encoded encoded = tokenizer->Encode(text);
    for (const auto id : encoded.ids) Check(id >= 0 && id < tokenizer->size(), "ids lie in the vocabulary", text);
    Check(FirstInvalidUtf8(tokenizer->Decode(encoded.ids)) < 0, "what was encoded decodes to UTF-8", text);
  }
  return 0;
}
