// T5's tokenizer: SentencePiece behind a std-only interface.
//
// Built as a shared library of its own that hides SentencePiece's private Protobuf and Abseil; neither this header
// nor its callers see them.
#ifndef PETIT_MODELS_TOKENIZER_TOKENIZER_H_
#define PETIT_MODELS_TOKENIZER_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

// The library is built with hidden visibility: only what carries this mark is exported.
#define PETIT_TOKENIZER_API __attribute__((visibility("default")))

namespace petit::tokenizer {

using TokenId = std::int32_t;

struct EncodeOptions {
  bool append_eos = true;
  // True: "</s>", "<pad>", "<unk>" and "<extra_id_k>" inside the text become special ids, as Hugging Face's
  // tokenizer does. False (for user text): they are plain text.
  bool parse_special_tokens = false;
  // 0: no limit. Otherwise pieces are cut to max_tokens - 1 and EOS is appended (cut to max_tokens without EOS).
  int max_tokens = 0;
};

struct DecodeOptions {
  bool skip_special_tokens = true;
  // Hugging Face's clean_up_tokenization_spaces; kFromFile obeys tokenizer_config.json (absent: off).
  enum class CleanUp { kFromFile, kOn, kOff } clean_up = CleanUp::kFromFile;
};

struct Encoded {
  std::vector<TokenId> ids;
  int unknown = 0;         // ids that are <unk>
  bool truncated = false;  // max_tokens cut something away
};

// Immutable after Load: Encode and Decode may be called from any number of threads. The ids and texts are those of
// Hugging Face's slow T5Tokenizer (transformers 4.57.6), with legacy as tokenizer_config.json says (absent: true).
class PETIT_TOKENIZER_API Tokenizer {
 public:
  // Loads DIRECTORY/spiece.model and, where present, tokenizer_config.json (extra_ids, legacy,
  // clean_up_tokenization_spaces), then probes it: a text must encode to ids in range and decode to itself. Null on
  // failure, with `error` saying the file and what is wrong.
  [[nodiscard]] static std::unique_ptr<Tokenizer> Load(const std::string& directory, std::string* error);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // `text` must be UTF-8 (see FirstInvalidUtf8). Whitespace runs, newlines among them, become one space. The empty text
  // is [EOS].
  [[nodiscard]] Encoded Encode(std::string_view text, const EncodeOptions& options = {}) const;

  // Ids out of range are dropped. With skip_special_tokens so are pad, EOS, unknown and the sentinels.
  [[nodiscard]] std::string Decode(const std::vector<TokenId>& ids, const DecodeOptions& options = {}) const;

  int piece_count() const;  // SentencePiece's pieces
  int size() const;         // pieces and sentinels: the ids a text can produce are [0, size())
  TokenId pad_id() const;
  TokenId eos_id() const;
  TokenId unk_id() const;
  int extra_ids() const;          // sentinels
  TokenId extra_id(int k) const;  // <extra_id_k> = size() - 1 - k, or -1 where there is no such sentinel

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Offset of the first byte that is not part of well-formed UTF-8 (no surrogates, no overlong forms), or -1.
PETIT_TOKENIZER_API std::ptrdiff_t FirstInvalidUtf8(std::string_view text);

}  // namespace petit::tokenizer

#endif  // PETIT_MODELS_TOKENIZER_TOKENIZER_H_
