// Text into ids and ids into text. The first byte holds the options.
#include <cstring>
#include <memory>
#include <vector>

#include "models/tokenizer/tokenizer.h"
#include "tests/fuzz/fuzz.h"

using petit::fuzz::Check;
using petit::tokenizer::FirstInvalidUtf8;
using petit::tokenizer::TokenId;
using petit::tokenizer::Tokenizer;

namespace {

const Tokenizer& Tiny() {
  static const Tokenizer& tokenizer = *[] {
    std::string error;
    std::unique_ptr<Tokenizer> loaded = Tokenizer::Load(PETIT_SOURCE_DIR "/tests/data/tiny/v1_1", &error);
    Check(loaded != nullptr, "the tests' tokenizer loads", error);
    return loaded.release();
  }();
  return tokenizer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Tokenizer& tokenizer = Tiny();
  const std::uint8_t flags = data[0];
  const std::string_view bytes = petit::fuzz::Text(data + 1, size - 1);
  petit::tokenizer::DecodeOptions decode;
  decode.skip_special_tokens = (flags & 1) != 0;
  decode.clean_up =
      (flags & 2) != 0 ? petit::tokenizer::DecodeOptions::CleanUp::kOn : petit::tokenizer::DecodeOptions::CleanUp::kOff;

  std::vector<TokenId> ids(bytes.size() / sizeof(TokenId));
  if (!ids.empty()) std::memcpy(ids.data(), bytes.data(), ids.size() * sizeof(TokenId));
  Check(FirstInvalidUtf8(tokenizer.Decode(ids, decode)) < 0, "any ids decode to UTF-8");
  for (TokenId& id : ids) id = static_cast<TokenId>(static_cast<std::uint32_t>(id) % tokenizer.size());
  Check(FirstInvalidUtf8(tokenizer.Decode(ids, decode)) < 0, "the vocabulary's ids decode to UTF-8");

  const std::ptrdiff_t bad = FirstInvalidUtf8(bytes);
  if (bad >= 0) {
    Check(FirstInvalidUtf8(bytes.substr(0, bad)) < 0, "what stands before the first bad byte is good");
    return 0;
  }
  petit::tokenizer::EncodeOptions encode;
  encode.append_eos = (flags & 4) != 0;
  encode.parse_special_tokens = (flags & 8) != 0;
  encode.max_tokens = flags >> 4;
  const petit::tokenizer::Encoded encoded = tokenizer.Encode(bytes, encode);
  for (const TokenId id : encoded.ids) Check(id >= 0 && id < tokenizer.size(), "ids lie in the vocabulary");
  Check(encode.max_tokens == 0 || encoded.ids.size() <= static_cast<std::size_t>(encode.max_tokens),
        "max_tokens holds");
  Check(!encode.append_eos || (!encoded.ids.empty() && encoded.ids.back() == tokenizer.eos_id()), "EOS stands last");
  Check(encoded.unknown >= 0 && encoded.unknown <= static_cast<int>(encoded.ids.size()), "unknown ids are ids");
  Check(FirstInvalidUtf8(tokenizer.Decode(encoded.ids, decode)) < 0, "what was encoded decodes to UTF-8");
  return 0;
}
