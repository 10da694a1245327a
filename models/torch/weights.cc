#include "models/torch/weights.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "models/t5/tensors.h"

namespace petit::torch_executor {
namespace {

class Loader {
 public:
  Loader(const checkpoint::Checkpoint& checkpoint, Precision precision, ModelWeights* weights)
      : checkpoint_(checkpoint), quantize_(precision == Precision::kInt8), out_(*weights) {}

  // A copy of one tensor, of `type`, on the device.
  at::Tensor Load(std::string_view name, at::ScalarType type) {
    const checkpoint::TensorView view = checkpoint_.tensor(name);
    at::Tensor tensor = at::empty(view.shape, at::TensorOptions(type).device(out_.device));
    CopyInto(name, view, tensor);
    out_.weight_bytes += static_cast<std::int64_t>(tensor.nbytes());
    return tensor;
  }

  at::Tensor LoadNorm(const std::string& name) { return Load(name, out_.activation_type); }

  // The layers PREFIX + part, fused.
  Linear LoadLinear(const std::string& prefix, std::initializer_list<std::string_view> parts) {
    std::vector<std::string> names;
    for (const std::string_view part : parts) names.push_back(absl::StrCat(prefix, std::string(part), ".weight"));
    Linear linear = quantize_ ? LoadQuantized(names) : LoadDense(names);
    out_.weight_bytes += linear.weight_bytes();
    return linear;
  }

  StackWeights LoadStack(t5::Stack stack, int blocks) {
    const t5::T5Config& config = out_.config;
    const bool decoder = stack == t5::Stack::kDecoder;
    StackWeights weights;
    for (int i = 0; i < blocks; ++i) {
      BlockWeights block;
      const std::string self = t5::SelfAttentionPrefix(stack, i);
      block.self.norm = LoadNorm(t5::LayerNormName(stack, i, t5::Sublayer::kSelfAttention));
      block.self.qkv = LoadLinear(self, {"q", "k", "v"});
      block.self.o = LoadLinear(self, {"o"});
      if (decoder) {
        const std::string cross = t5::CrossAttentionPrefix(i);
        block.cross.norm = LoadNorm(t5::LayerNormName(stack, i, t5::Sublayer::kCrossAttention));
        block.cross.q = LoadLinear(cross, {"q"});
        block.cross.kv = LoadLinear(cross, {"k", "v"});
        block.cross.o = LoadLinear(cross, {"o"});
      }
      const std::string feed_forward = t5::FeedForwardPrefix(stack, i);
      block.feed_forward.norm = LoadNorm(t5::LayerNormName(stack, i, t5::Sublayer::kFeedForward));
      block.feed_forward.wi =
          config.gated ? LoadLinear(feed_forward, {"wi_0", "wi_1"}) : LoadLinear(feed_forward, {"wi"});
      block.feed_forward.wo = LoadLinear(feed_forward, {"wo"});
      weights.blocks.push_back(std::move(block));
    }
    weights.final_norm = LoadNorm(t5::FinalLayerNormName(stack));
    weights.relative_bias = Load(t5::RelativeBiasName(stack), out_.activation_type).to(at::kFloat);
    return weights;
  }

  at::ScalarType EmbeddingType() const {
    if (out_.activation_type == at::kBFloat16) return at::kBFloat16;
    // A BF16 file's embedding is exact in BF16: no need for twice the bytes.
    return checkpoint_.tensor(t5::kSharedEmbedding).dtype == checkpoint::DType::kBF16 && quantize_ ? at::kBFloat16
                                                                                                   : at::kFloat;
  }

 private:
  Linear LoadDense(const std::vector<std::string>& names) {
    const std::int64_t rows = Rows(names);
    const std::int64_t columns = checkpoint_.tensor(names[0]).shape[1];
    const at::ScalarType type = out_.activation_type;
    const at::Tensor fused = Linear::PackedCopies(rows * columns, type, out_.device)
                                 ? Staging(rows, columns, type)
                                 : at::empty({rows, columns}, at::TensorOptions(type).device(out_.device));
    CopyParts(names, fused);
    return Linear::Packed(fused);
  }

  Linear LoadQuantized(const std::vector<std::string>& names) {
    const at::Tensor fused = Staging(Rows(names), checkpoint_.tensor(names[0]).shape[1], at::kFloat);
    return Linear::Quantized(CopyParts(names, fused));
  }

  std::int64_t Rows(const std::vector<std::string>& names) const {
    std::int64_t rows = 0;
    for (const std::string& name : names) rows += checkpoint_.tensor(name).shape[0];
    return rows;
  }

  // Copies the tensors one below the other; returns each one's part of `fused`.
  std::vector<at::Tensor> CopyParts(const std::vector<std::string>& names, const at::Tensor& fused) const {
    std::vector<at::Tensor> parts;
    std::int64_t row = 0;
    for (const std::string& name : names) {
      const checkpoint::TensorView view = checkpoint_.tensor(name);
      parts.push_back(fused.narrow(0, row, view.shape[0]));
      CopyInto(name, view, parts.back());
      row += view.shape[0];
    }
    return parts;
  }

  // A weight that is only read to be packed. One buffer serves layer after layer: freed and allocated anew between the
  // packed copies, such buffers would leave holes in the heap, a third of the weights' bytes for flan-T5-small.
  at::Tensor Staging(std::int64_t rows, std::int64_t columns, at::ScalarType type) {
    const std::int64_t elements = rows * columns;
    const at::TensorOptions options = at::TensorOptions(type).device(out_.device);
    if (elements > kMaxStagingElements) return at::empty({rows, columns}, options);  // the system's at once
    if (!staging_.defined() || staging_.numel() < elements) staging_ = at::empty({elements}, options);
    return staging_.narrow(0, 0, elements).view({rows, columns});
  }

  static constexpr std::int64_t kMaxStagingElements = std::int64_t{8} << 20;

  // In pieces, so that no more than one of them is resident in the file's mapping beside the copy.
  void CopyInto(std::string_view name, const checkpoint::TensorView& view, const at::Tensor& destination) const {
    const at::ScalarType type = view.dtype == checkpoint::DType::kF32    ? at::kFloat
                                : view.dtype == checkpoint::DType::kBF16 ? at::kBFloat16
                                                                         : at::kHalf;
    const bool aligned = reinterpret_cast<std::uintptr_t>(view.data) % checkpoint::DTypeSize(view.dtype) == 0;
    const std::int64_t rows = view.shape[0];
    const std::size_t row_bytes = view.bytes / static_cast<std::size_t>(rows);
    const std::int64_t piece = std::max<std::int64_t>(1, static_cast<std::int64_t>(kPieceBytes / row_bytes));
    for (std::int64_t row = 0; row < rows; row += piece) {
      std::vector<std::int64_t> shape = view.shape;
      shape[0] = std::min(piece, rows - row);
      const std::byte* data = view.data + static_cast<std::size_t>(row) * row_bytes;
      const at::Tensor target = destination.narrow(0, row, shape[0]);
      if (aligned) {
        target.copy_(at::from_blob(const_cast<std::byte*>(data), shape, type));
      } else {
        const at::Tensor copy = at::empty(shape, type);
        std::memcpy(copy.data_ptr(), data, static_cast<std::size_t>(shape[0]) * row_bytes);
        target.copy_(copy);
      }
      checkpoint_.Evict(name);
    }
  }

  static constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

  const checkpoint::Checkpoint& checkpoint_;
  const bool quantize_;
  ModelWeights& out_;
  at::Tensor staging_;
};

}  // namespace

ModelWeights LoadWeights(const checkpoint::Checkpoint& checkpoint, Precision precision, c10::Device device) {
  ModelWeights weights;
  weights.config = checkpoint.config();
  weights.activation_type = precision == Precision::kBf16 ? at::kBFloat16 : at::kFloat;
  weights.quantized = precision == Precision::kInt8;
  weights.device = device;
  Loader loader(checkpoint, precision, &weights);
  const t5::T5Config& config = weights.config;

  // The largest tensors first: what loading them takes beside themselves is over before the rest is there.
  if (!config.tie_word_embeddings) weights.lm_head = loader.LoadLinear("", {"lm_head"});
  weights.embedding = loader.Load(t5::kSharedEmbedding, loader.EmbeddingType());
  if (config.tie_word_embeddings) {
    weights.lm_head_scale = static_cast<float>(std::pow(config.d_model, -0.5));
    if (precision == Precision::kInt8) {
      weights.lm_head = Linear::Quantized({weights.embedding.to(at::kFloat)});
      weights.weight_bytes += weights.lm_head.weight_bytes();
    } else {
      weights.lm_head = Linear::Dense(weights.embedding);
    }
  }
  weights.encoder = loader.LoadStack(t5::Stack::kEncoder, config.num_layers);
  weights.decoder = loader.LoadStack(t5::Stack::kDecoder, config.num_decoder_layers);
  return weights;
}

}  // namespace petit::torch_executor
