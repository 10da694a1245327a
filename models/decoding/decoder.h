// Decoders: one state machine per sequence, the same code for every executor. std only.
//
//   auto decoder = MakeDecoder(options, special, sequence_index);
//   while (!decoder->done()) {
//     run decoder->rows() on an executor, together with the rows of other sequences;
//     decoder->Advance(results);
//   }
//   decoder->Hypotheses()
#ifndef PETIT_MODELS_DECODING_DECODER_H_
#define PETIT_MODELS_DECODING_DECODER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "models/decoding/options.h"
#include "models/decoding/step.h"

namespace petit::decoding {

enum class FinishReason { kEos, kLength };

struct Hypothesis {
  std::vector<TokenId> ids;  // generated ids, without the start token and without EOS
  // Beam search: sum of log-probs / tokens^length_penalty, EOS counted, exactly Hugging Face's `sequences_scores`.
  // Greedy and sampling: the same formula over the chosen tokens' log-probabilities.
  float score = 0;
  std::vector<float> token_log_probs;  // one per generated token, EOS included where reached
  FinishReason finish_reason = FinishReason::kEos;
};

class SequenceDecoder {
 public:
  virtual ~SequenceDecoder() = default;

  // The rows of the next step, in the order in which Advance wants their results; empty once done.
  virtual std::span<const RowRequest> rows() const = 0;

  // Consumes one result per row of rows() and sets up the next step.
  virtual void Advance(std::span<const RowResult> results) = 0;

  virtual bool done() const = 0;

  // Decoder steps taken so far.
  virtual int steps() const = 0;

  // Best first, num_return_sequences of them at most. Only once done.
  virtual std::vector<Hypothesis> Hypotheses() = 0;
};

// `sequence_index` is the sequence's place in its request: a sample depends on (seed, sequence_index, sample,
// step) alone, not on the batch. Options must have passed Validate.
std::unique_ptr<SequenceDecoder> MakeDecoder(const DecodingOptions& options, const SpecialTokens& special,
                                             std::uint64_t sequence_index);

}  // namespace petit::decoding

#endif  // PETIT_MODELS_DECODING_DECODER_H_
