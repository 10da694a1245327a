// A T5's weights on a device, fused for inference.
#ifndef PETIT_MODELS_TORCH_WEIGHTS_H_
#define PETIT_MODELS_TORCH_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/checkpoint/checkpoint.h"
#include "models/t5/config.h"
#include "models/torch/linear.h"
#include "models/torch/torch_executor.h"

namespace petit::torch_executor {

struct SelfAttentionWeights {
  at::Tensor norm;  // [d_model]
  Linear qkv;       // d_model -> 3 * inner: queries, keys, values
  Linear o;         // inner -> d_model
};

struct CrossAttentionWeights {
  at::Tensor norm;
  Linear q;   // d_model -> inner
  Linear kv;  // d_model -> 2 * inner, of the encoder's output
  Linear o;
};

struct FeedForwardWeights {
  at::Tensor norm;
  Linear wi;  // d_model -> d_ff, or 2 * d_ff where gated: wi_0, wi_1
  Linear wo;  // d_ff -> d_model
};

struct BlockWeights {
  SelfAttentionWeights self;
  CrossAttentionWeights cross;  // decoder only
  FeedForwardWeights feed_forward;
};

struct StackWeights {
  std::vector<BlockWeights> blocks;
  at::Tensor final_norm;
  at::Tensor relative_bias;  // [buckets, heads], fp32 (rounded to BF16 where that is the precision)
};

struct ModelWeights {
  t5::T5Config config;
  // What flows between layers: BF16 in precision BF16, else fp32. Norm weights are of this type.
  at::ScalarType activation_type = at::kFloat;
  bool quantized = false;  // linear layers are INT8
  c10::Device device = c10::Device(c10::DeviceType::CPU);
  at::Tensor embedding;  // [vocab_size, d_model], possibly BF16 while activations are fp32
  StackWeights encoder;
  StackWeights decoder;
  Linear lm_head;
  float lm_head_scale = 1;  // of its input; d_model^-0.5 where tied
  std::int64_t weight_bytes = 0;
};

// Loads tensor by tensor: at no time is there more than the loaded weights and about one tensor. Throws LibTorch's
// exceptions.
ModelWeights LoadWeights(const checkpoint::Checkpoint& checkpoint, Precision precision, c10::Device device);

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_WEIGHTS_H_
