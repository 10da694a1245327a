// Beam search. std only.
#ifndef PETIT_MODELS_DECODING_BEAM_DECODER_H_
#define PETIT_MODELS_DECODING_BEAM_DECODER_H_

#include <memory>

#include "models/decoding/decoder.h"

namespace petit::decoding {

// The vectorised beam search of Hugging Face transformers 4.50 and later (`_beam_search` in generation/utils.py), in
// fp32, its sentinels of -1e9 included: where bans leave fewer than 2 * num_beams candidates, beams that upstream
// marks with -1e9 take part as they do there. num_beams >= 2.
//
// torch.topk promises no order among equals; here the lower beam wins, then the lower id, and among results the
// older. NaN log-probabilities count as -inf.
std::unique_ptr<SequenceDecoder> MakeBeamDecoder(const DecodingOptions& options, const SpecialTokens& special);

}  // namespace petit::decoding

#endif  // PETIT_MODELS_DECODING_BEAM_DECODER_H_
