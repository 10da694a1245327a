#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>
#include <utility>

#include "models/distill/functions.h"
#include "models/distill/kernels.h"
#include "models/distill/padded_attention.h"

namespace petit::distill {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

at::Tensor AsFloat(const at::Tensor& x) { return x.to(at::kFloat).contiguous(); }

// Where each sequence begins.
struct Layout : torch::CustomClassHolder {
  std::vector<int> query_lengths;
  std::vector<int> key_lengths;
  std::vector<std::int64_t> query_begin;
  std::vector<std::int64_t> key_begin;
  std::vector<std::int64_t> probability_begin;  // of [heads, queries, keys]
  std::int64_t probabilities = 0;
  int heads = 0;
  int width = 0;
  bool causal = false;
  std::vector<int> buckets;
  std::int64_t longest = 0;
  float dropout = 0;
  std::uint64_t dropout_key = 0;

  explicit Layout(const AttentionInput& input)
      : query_lengths(input.query_lengths),
        key_lengths(input.key_lengths),
        heads(input.heads),
        width(input.head_width),
        causal(input.causal),
        dropout(static_cast<float>(input.dropout)),
        dropout_key(input.dropout_key) {
    std::int64_t queries = 0;
    std::int64_t keys = 0;
    for (std::size_t i = 0; i < query_lengths.size(); ++i) {
      query_begin.push_back(queries);
      key_begin.push_back(keys);
      probability_begin.push_back(probabilities);
      queries += query_lengths[i];
      keys += key_lengths[i];
      probabilities += std::int64_t{heads} * query_lengths[i] * key_lengths[i];
    }
    if (input.buckets != nullptr) {
      buckets = *input.buckets;
      longest = (static_cast<std::int64_t>(buckets.size()) + 1) / 2;
    }
  }

  std::int64_t units() const { return static_cast<std::int64_t>(query_lengths.size()) * heads; }

  std::int64_t inner() const { return std::int64_t{heads} * width; }

  kernels::Head HeadOf(std::size_t sequence, int head, std::int64_t query_stride, std::int64_t memory_stride,
                       const float* bias) const {
    kernels::Head result;
    result.queries = query_lengths[sequence];
    result.keys = key_lengths[sequence];
    result.width = width;
    result.query_stride = query_stride;
    result.key_stride = memory_stride;
    result.value_stride = memory_stride;
    result.out_stride = inner();
    result.causal = causal;
    if (bias != nullptr) {
      result.bias = bias;
      result.buckets = buckets.data();
      result.offset = longest - 1;
    }
    result.dropout = dropout;
    if (dropout > 0) {
      result.dropout_key = MixBits(dropout_key, static_cast<std::uint64_t>(sequence) * heads + head);
    }
    return result;
  }
};

// Views of queries, keys and values, wherever they lie.
struct Operands {
  float* query;
  float* key;
  float* value;
  std::int64_t query_stride;
  std::int64_t memory_stride;

  // `memory` undefined: self-attention.
  Operands(const at::Tensor& queries, const at::Tensor& memory, const Layout& layout)
      : query(queries.mutable_data_ptr<float>()), query_stride(queries.size(1)) {
    const bool self = !memory.defined();
    key = self ? query + layout.inner() : memory.mutable_data_ptr<float>();
    value = key + layout.inner();
    memory_stride = self ? query_stride : memory.size(1);
  }

  float* QueryOf(const Layout& layout, std::size_t sequence, int head) const {
    return query + layout.query_begin[sequence] * query_stride + std::int64_t{head} * layout.width;
  }
  float* KeyOf(const Layout& layout, std::size_t sequence, int head) const {
    return key + layout.key_begin[sequence] * memory_stride + std::int64_t{head} * layout.width;
  }
  float* ValueOf(const Layout& layout, std::size_t sequence, int head) const {
    return value + layout.key_begin[sequence] * memory_stride + std::int64_t{head} * layout.width;
  }
};

class AttentionFunction : public Function<AttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& queries,
                            const std::optional<at::Tensor>& memory, const std::optional<at::Tensor>& bias_table,
                            const c10::intrusive_ptr<Layout>& layout) {
    const at::Tensor q = AsFloat(queries);
    const at::Tensor kv = memory ? AsFloat(*memory) : at::Tensor();
    const at::Tensor bias = bias_table ? bias_table->t().contiguous() : at::Tensor();  // [heads, buckets]
    at::Tensor out = at::zeros({q.size(0), layout->inner()}, q.options());
    at::Tensor probabilities = at::empty({layout->probabilities}, q.options());
    const Operands in(q, kv, *layout);
    ForEachHead(*layout, in, bias, kernels::ForwardScratch,
                [&](const kernels::Head& head, std::size_t sequence, int h, float* scratch) {
                  kernels::AttentionForward(head, in.QueryOf(*layout, sequence, h), in.KeyOf(*layout, sequence, h),
                                            in.ValueOf(*layout, sequence, h), scratch,
                                            Probabilities(probabilities, *layout, sequence, h),
                                            OutOf(out, *layout, sequence, h));
                });
    // As they came: BF16 is half the memory, and casting it again costs little.
    context->save_for_backward({queries, memory.value_or(at::Tensor()), bias, probabilities});
    context->saved_data["layout"] = c10::IValue::make_capsule(layout);
    context->saved_data["type"] = static_cast<std::int64_t>(queries.scalar_type());
    return out.to(queries.scalar_type());
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const c10::intrusive_ptr<torch::CustomClassHolder> holder = context->saved_data["layout"].toCapsule();
    const Layout& layout = static_cast<const Layout&>(*holder);
    const auto type = static_cast<at::ScalarType>(context->saved_data["type"].toInt());
    const variable_list saved = context->get_saved_variables();
    const at::Tensor q = AsFloat(saved[0]);
    const at::Tensor kv = saved[1].defined() ? AsFloat(saved[1]) : at::Tensor();
    const at::Tensor& bias = saved[2];
    const at::Tensor& probabilities = saved[3];
    const at::Tensor dout = AsFloat(gradients[0]);
    // Rows beyond the sequences (see Pass) belong to nobody.
    at::Tensor dq = at::zeros_like(q);
    at::Tensor dkv = kv.defined() ? at::zeros_like(kv) : at::Tensor();
    at::Tensor dbias;  // one per sequence and head, added in order
    if (bias.defined()) dbias = at::zeros({layout.units(), bias.size(1)}, q.options());
    const Operands in(q, kv, layout);
    const Operands to(dq, dkv, layout);
    ForEachHead(layout, in, bias, kernels::BackwardScratch,
                [&](const kernels::Head& head, std::size_t sequence, int h, float* scratch) {
                  float* bias_gradient = nullptr;
                  if (bias.defined()) {
                    bias_gradient = dbias.mutable_data_ptr<float>() +
                                    (static_cast<std::int64_t>(sequence) * layout.heads + h) * bias.size(1);
                  }
                  kernels::AttentionBackward(
                      head, in.QueryOf(layout, sequence, h), in.KeyOf(layout, sequence, h),
                      in.ValueOf(layout, sequence, h), Probabilities(probabilities, layout, sequence, h),
                      OutOf(dout, layout, sequence, h), scratch, to.QueryOf(layout, sequence, h),
                      to.KeyOf(layout, sequence, h), to.ValueOf(layout, sequence, h), bias_gradient);
                });
    at::Tensor dtable;
    if (bias.defined()) {
      dtable = dbias.view({layout.units() / layout.heads, layout.heads, bias.size(1)}).sum(0).t().contiguous();
    }
    return {dq.to(type), dkv.defined() ? dkv.to(type) : dkv, dtable, at::Tensor()};
  }

 private:
  static float* OutOf(const at::Tensor& out, const Layout& layout, std::size_t sequence, int head) {
    return out.mutable_data_ptr<float>() + layout.query_begin[sequence] * layout.inner() +
           std::int64_t{head} * layout.width;
  }
  static float* Probabilities(const at::Tensor& x, const Layout& layout, std::size_t sequence, int head) {
    return x.mutable_data_ptr<float>() + layout.probability_begin[sequence] +
           std::int64_t{head} * layout.query_lengths[sequence] * layout.key_lengths[sequence];
  }

  template <typename ScratchSize, typename F>
  static void ForEachHead(const Layout& layout, const Operands& in, const at::Tensor& bias, ScratchSize scratch_size,
                          F f) {
    at::parallel_for(0, layout.units(), 8, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> scratch;
      for (std::int64_t unit = begin; unit < end; ++unit) {
        const auto sequence = static_cast<std::size_t>(unit / layout.heads);
        const int h = static_cast<int>(unit % layout.heads);
        const float* head_bias =
            bias.defined() ? bias.const_data_ptr<float>() + std::int64_t{h} * bias.size(1) : nullptr;
        const kernels::Head head = layout.HeadOf(sequence, h, in.query_stride, in.memory_stride, head_bias);
        const auto floats = static_cast<std::size_t>(scratch_size(head));
        if (scratch.size() < floats) scratch.resize(floats);
        f(head, sequence, h, scratch.data());
      }
    });
  }
};

}  // namespace

at::Tensor Attention(const AttentionInput& input) {
  if (input.generic || !input.queries.is_cpu()) return PaddedAttention(input);
  const auto present = [](const at::Tensor& x) { return x.defined() ? std::optional<at::Tensor>(x) : std::nullopt; };
  return AttentionFunction::apply(input.queries, present(input.memory), present(input.bias_table),
                                  c10::make_intrusive<Layout>(input));
}

}  // namespace petit::distill
