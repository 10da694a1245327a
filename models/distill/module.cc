#include "models/distill/module.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "models/distill/product.h"
#include "models/distill/rows.h"
#include "models/t5/relative_position.h"
#include "models/t5/tensors.h"

namespace petit::distill {
T5Module::T5Module(const t5::T5Config& config, at::Device device) : config_(config), device_(device) {
  for (const t5::TensorSpec& spec : t5::RequiredTensors(config)) {
    at::Tensor value = at::empty(spec.shape, at::TensorOptions(at::kFloat).device(device));
    value.set_requires_grad(true);
    index_.emplace(spec.name, parameters_.size());
    parameters_.push_back({spec.name, std::move(value)});
  }
}

at::Tensor T5Module::parameter(const std::string& name) const { return parameters_[index_.at(name)].value; }

// One forward pass.
class T5Module::Pass {
 public:
  Pass(const T5Module& module, TrainingPrecision precision, double dropout, DropoutKeys* random)
      : module_(module),
        config_(module.config_),
        type_(precision == TrainingPrecision::kBf16 ? at::kBFloat16 : at::kFloat),
        dropout_(random == nullptr ? 0 : dropout),
        random_(random) {}

  Outputs Run(const Batch& batch) {
    Outputs outputs;
    outputs.encoded = RunStack(t5::Stack::kEncoder, batch.sources, batch.source_lengths, at::Tensor(), {});
    const at::Tensor memory = Cast(outputs.encoded);
    outputs.hidden =
        Cast(RunStack(t5::Stack::kDecoder, batch.inputs, batch.target_lengths, memory, batch.source_lengths));
    if (config_.tie_word_embeddings) outputs.hidden = outputs.hidden * std::pow(config_.d_model, -0.5);
    outputs.output_weight = Weight(std::string(config_.tie_word_embeddings ? t5::kSharedEmbedding : t5::kLmHead));
    outputs.encoded = outputs.encoded.narrow(0, 0, batch.source_tokens());
    outputs.hidden = outputs.hidden.narrow(0, 0, batch.target_tokens());
    return outputs;
  }

 private:
  at::Tensor Cast(const at::Tensor& x) const { return type_ == at::kFloat ? x : x.to(type_); }
  at::Tensor Weight(const std::string& name) const { return Cast(module_.parameter(name)); }
  // Layers that read the same input are one product.
  at::Tensor Weights(const std::string& prefix, std::initializer_list<const char*> parts) const {
    std::vector<at::Tensor> weights;
    for (const char* part : parts) weights.push_back(module_.parameter(prefix + part + ".weight"));
    return Cast(weights.size() == 1 ? weights[0] : at::cat(weights));
  }
  at::Tensor Norm(const at::Tensor& x, const std::string& name) const {
    return RmsNorm(x, module_.parameter(name), config_.layer_norm_epsilon, type_);
  }
  at::Tensor Drop(const at::Tensor& x) { return Dropout(x, dropout_, random_); }

  at::Tensor RunStack(t5::Stack stack, const std::vector<TokenId>& ids, const std::vector<int>& lengths,
                      const at::Tensor& memory, const std::vector<int>& memory_lengths) {
    const bool decoder = stack == t5::Stack::kDecoder;
    std::vector<TokenId> padded = ids;
    padded.resize(RowsToCompute(static_cast<std::int64_t>(ids.size())), config_.pad_token_id);
    const at::Tensor index = at::tensor(padded, at::kInt).to(at::kLong).to(module_.device_);
    at::Tensor x = Drop(at::embedding(module_.parameter(std::string(t5::kSharedEmbedding)), index));
    const int longest = *std::max_element(lengths.begin(), lengths.end());
    const std::vector<int> buckets = t5::RelativePositionBuckets(
        longest, !decoder, config_.relative_attention_num_buckets, config_.relative_attention_max_distance);
    const at::Tensor table = module_.parameter(t5::RelativeBiasName(stack));
    const int blocks = decoder ? config_.num_decoder_layers : config_.num_layers;
    for (int i = 0; i < blocks; ++i) {
      const std::string self = t5::SelfAttentionPrefix(stack, i);
      const at::Tensor qkv =
          Product(Norm(x, t5::LayerNormName(stack, i, t5::Sublayer::kSelfAttention)), Weights(self, {"q", "k", "v"}));
      x = Add(x, Product(Attend({.queries = qkv,
                                 .memory = at::Tensor(),
                                 .query_lengths = lengths,
                                 .key_lengths = lengths,
                                 .causal = decoder,
                                 .bias_table = table,
                                 .buckets = &buckets}),
                         Weights(self, {"o"})));
      if (decoder) {
        const std::string cross = t5::CrossAttentionPrefix(i);
        const at::Tensor q =
            Product(Norm(x, t5::LayerNormName(stack, i, t5::Sublayer::kCrossAttention)), Weights(cross, {"q"}));
        x = Add(x, Product(Attend({.queries = q,
                                   .memory = Product(memory, Weights(cross, {"k", "v"})),
                                   .query_lengths = lengths,
                                   .key_lengths = memory_lengths,
                                   .bias_table = at::Tensor()}),
                           Weights(cross, {"o"})));
      }
      x = Add(x, FeedForward(Norm(x, t5::LayerNormName(stack, i, t5::Sublayer::kFeedForward)),
                             t5::FeedForwardPrefix(stack, i)));
    }
    return Drop(RmsNorm(x, module_.parameter(t5::FinalLayerNormName(stack)), config_.layer_norm_epsilon, at::kFloat));
  }

  at::Tensor Add(const at::Tensor& x, const at::Tensor& y) { return AddDropped(x, y, dropout_, random_); }

  at::Tensor FeedForward(const at::Tensor& x, const std::string& prefix) {
    const at::Tensor wide = Product(x, config_.gated ? Weights(prefix, {"wi_0", "wi_1"}) : Weights(prefix, {"wi"}));
    return Product(Drop(FeedForwardActivation(wide, config_.activation, config_.gated)), Weights(prefix, {"wo"}));
  }

  at::Tensor Attend(AttentionInput input) {
    input.heads = config_.num_heads;
    input.head_width = config_.d_kv;
    input.dropout = dropout_;
    if (dropout_ > 0) input.dropout_key = random_->Next();
    input.generic = module_.generic_attention_;
    return Attention(input);
  }

  const T5Module& module_;
  const t5::T5Config& config_;
  const at::ScalarType type_;
  const double dropout_;
  DropoutKeys* const random_;
};

T5Module::Outputs T5Module::Forward(const Batch& batch, TrainingPrecision precision, double dropout,
                                    DropoutKeys* random) const {
  return Pass(*this, precision, dropout, random).Run(batch);
}

at::ScalarType ScalarTypeOf(checkpoint::DType dtype) {
  switch (dtype) {
    case checkpoint::DType::kF32:
      return at::kFloat;
    case checkpoint::DType::kBF16:
      return at::kBFloat16;
    case checkpoint::DType::kF16:
      break;
  }
  return at::kHalf;
}

void CopyTensor(const checkpoint::Checkpoint& checkpoint, const std::string& name, const at::Tensor& to) {
  const at::NoGradGuard no_gradient;
  const checkpoint::TensorView view = checkpoint.tensor(name);
  const at::Tensor copy = at::empty(view.shape, ScalarTypeOf(view.dtype));  // the file's bytes may be unaligned
  std::memcpy(copy.mutable_data_ptr(), view.data, view.bytes);
  to.copy_(copy);
  checkpoint.Evict(name);
}

void LoadParameters(const checkpoint::Checkpoint& checkpoint, T5Module* module) {
  for (Parameter& parameter : module->parameters()) CopyTensor(checkpoint, parameter.name, parameter.value);
}

void InitialiseParameters(std::uint64_t seed, T5Module* module) {
  const at::NoGradGuard no_gradient;
  const t5::T5Config& config = module->config();
  at::Generator generator = at::globalContext().defaultGenerator(at::Device(at::kCPU)).clone();
  generator.set_current_seed(seed);
  for (Parameter& parameter : module->parameters()) {
    const std::string& name = parameter.name;
    if (parameter.value.dim() == 1) {  // norms
      parameter.value.fill_(1);
      continue;
    }
    // Inputs of `wo` are d_ff wide and those of `o` inner_dim; all others read d_model.
    double deviation = std::pow(config.d_model, -0.5);
    if (name == t5::kSharedEmbedding) {
      deviation = 1;
    } else if (absl::EndsWith(name, ".q.weight")) {
      deviation = std::pow(static_cast<double>(config.d_model) * config.d_kv, -0.5);
    } else if (absl::EndsWith(name, ".o.weight")) {
      deviation = std::pow(config.inner_dim(), -0.5);
    } else if (absl::EndsWith(name, ".wo.weight")) {
      deviation = std::pow(config.d_ff, -0.5);
    }
    parameter.value.copy_(at::empty(parameter.value.sizes(), at::kFloat).normal_(0, deviation, generator));
  }
}

std::vector<int> EvenlySpaced(int count, int kept) {
  std::vector<int> layers;
  layers.reserve(kept);
  for (int i = 0; i < kept; ++i) {
    layers.push_back(kept == 1 ? 0 : static_cast<int>(std::lround(static_cast<double>(i) * (count - 1) / (kept - 1))));
  }
  return layers;
}

}  // namespace petit::distill
