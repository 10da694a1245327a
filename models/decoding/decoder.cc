#include "models/decoding/decoder.h"

#include "models/decoding/beam_decoder.h"
#include "models/decoding/chain_decoder.h"

namespace petit::decoding {

std::unique_ptr<SequenceDecoder> MakeDecoder(const DecodingOptions& options, const SpecialTokens& special,
                                             std::uint64_t sequence_index) {
  if (options.num_beams > 1) return MakeBeamDecoder(options, special);
  return MakeChainDecoder(options, special, sequence_index);
}

}  // namespace petit::decoding
