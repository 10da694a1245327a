// Attention by LibTorch's own operations, padded and masked: for devices without our kernel, and as its reference.
#ifndef PETIT_MODELS_DISTILL_PADDED_ATTENTION_H_
#define PETIT_MODELS_DISTILL_PADDED_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include "models/distill/functions.h"

namespace petit::distill {

at::Tensor PaddedAttention(const AttentionInput& input);

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_PADDED_ATTENTION_H_
