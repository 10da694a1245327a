// Greedy search and sampling: chains of tokens that do not compete. std only.
#ifndef PETIT_MODELS_DECODING_CHAIN_DECODER_H_
#define PETIT_MODELS_DECODING_CHAIN_DECODER_H_

#include <cstdint>
#include <memory>

#include "models/decoding/decoder.h"

namespace petit::decoding {

// One chain that takes the best id of each step, or num_return_sequences chains that draw (do_sample).
std::unique_ptr<SequenceDecoder> MakeChainDecoder(const DecodingOptions& options, const SpecialTokens& special,
                                                  std::uint64_t sequence_index);

}  // namespace petit::decoding

#endif  // PETIT_MODELS_DECODING_CHAIN_DECODER_H_
