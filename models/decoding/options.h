// What a caller may ask of decoding. std only; the same options mean the same on every executor.
//
// Semantics are those of Hugging Face's `generate()` (transformers 4.57, vectorised beam search) for T5: lengths
// count generated tokens including EOS, without the start token.
#ifndef PETIT_MODELS_DECODING_OPTIONS_H_
#define PETIT_MODELS_DECODING_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace petit::decoding {

using TokenId = std::int32_t;

// When beam search stops (Hugging Face's `early_stopping`): kFalse when no running beam can beat the worst result
// at its current length; kTrue as soon as num_beams results exist; kNever when none can at any length.
enum class EarlyStopping { kFalse, kTrue, kNever };

struct SpecialTokens {
  TokenId decoder_start = 0;
  std::vector<TokenId> eos = {1};  // any of these ends a hypothesis
};

struct DecodingOptions {
  int max_new_tokens = 128;  // EOS included; >= 1
  int min_new_tokens = 0;    // tokens before EOS may come; <= max_new_tokens

  int num_beams = 1;             // 1: greedy or sampling
  int num_return_sequences = 1;  // <= num_beams, except when sampling: independent samples
  float length_penalty = 1.0f;   // a hypothesis' score = sum of log-probs / tokens^length_penalty
  EarlyStopping early_stopping = EarlyStopping::kFalse;

  float repetition_penalty = 1.0f;              // > 0; 1 is off
  int no_repeat_ngram_size = 0;                 // 0 is off
  std::vector<std::vector<TokenId>> bad_words;  // id sequences that must not appear
  std::optional<TokenId> forced_bos;
  std::optional<TokenId> forced_eos;  // forced at the last position

  bool do_sample = false;    // with num_beams 1 only
  float temperature = 1.0f;  // > 0
  int top_k = 50;            // 0: whole vocabulary
  float top_p = 1.0f;        // (0, 1]
  std::uint64_t seed = 0;
};

// Says what is wrong with the options and what would be right, or nothing.
std::optional<std::string> Validate(const DecodingOptions& options);

// The same for what only a model's vocabulary can tell: every id that the options name must lie in
// [0, vocab_size), because executors use ids as indices.
std::optional<std::string> ValidateIds(const DecodingOptions& options, int vocab_size);

// Rows that one sequence occupies at most: beams, or samples.
int MaxRows(const DecodingOptions& options);

}  // namespace petit::decoding

#endif  // PETIT_MODELS_DECODING_OPTIONS_H_
