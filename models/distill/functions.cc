#include "models/distill/functions.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "models/distill/kernels.h"
#include "models/distill/padded_attention.h"

namespace petit::distill {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr std::int64_t kGrain = 32768;  // elements below which waking a thread costs more than it brings

std::int64_t RowGrain(std::int64_t width) {
  return std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, width));
}

at::Tensor AsFloat(const at::Tensor& x) { return x.to(at::kFloat).contiguous(); }

class DropoutFunction : public Function<DropoutFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, double p, std::int64_t key) {
    context->saved_data["p"] = p;
    context->saved_data["key"] = key;
    return Apply(x, p, key);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    return {Apply(gradients[0], context->saved_data["p"].toDouble(), context->saved_data["key"].toInt()), at::Tensor(),
            at::Tensor()};
  }

 private:
  static at::Tensor Apply(const at::Tensor& x, double p, std::int64_t key) {
    const at::Tensor from = AsFloat(x);
    at::Tensor to = at::empty_like(from);
    const float* in = from.const_data_ptr<float>();
    float* out = to.mutable_data_ptr<float>();
    at::parallel_for(0, from.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels::Dropout(static_cast<std::uint64_t>(key), static_cast<float>(p), begin, end, in, out);
    });
    return to.to(x.scalar_type());
  }
};

class RmsNormFunction : public Function<RmsNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, double epsilon) {
    const at::Tensor from = AsFloat(x);
    const std::int64_t rows = from.size(0);
    const std::int64_t width = from.size(1);
    at::Tensor to = at::empty_like(from);
    at::Tensor scales = at::empty({rows}, from.options());
    const float* in = from.const_data_ptr<float>();
    const float* w = weight.const_data_ptr<float>();
    float* out = to.mutable_data_ptr<float>();
    float* r = scales.mutable_data_ptr<float>();
    at::parallel_for(0, rows, RowGrain(width), [&](std::int64_t begin, std::int64_t end) {
      kernels::RmsNorm(in + begin * width, w, static_cast<float>(epsilon), end - begin, width, out + begin * width,
                       r + begin);
    });
    context->save_for_backward({from, weight, scales});
    return to;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor dy = AsFloat(gradients[0]);
    const std::int64_t rows = dy.size(0);
    const std::int64_t width = dy.size(1);
    at::Tensor dx = at::empty_like(dy);
    // One partial sum per part of the rows, added in order: the result depends on the number of threads alone.
    const std::int64_t parts = std::clamp<std::int64_t>(rows * width / kGrain, 1, at::get_num_threads());
    at::Tensor partial = at::zeros({parts, width}, dy.options());
    const float* x = saved[0].const_data_ptr<float>();
    const float* w = saved[1].const_data_ptr<float>();
    const float* r = saved[2].const_data_ptr<float>();
    at::parallel_for(0, parts, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t part = first; part < last; ++part) {
        const std::int64_t begin = rows * part / parts;
        const std::int64_t end = rows * (part + 1) / parts;
        kernels::RmsNormBackward(dy.const_data_ptr<float>() + begin * width, x + begin * width, w, r + begin,
                                 end - begin, width, dx.mutable_data_ptr<float>() + begin * width,
                                 partial.mutable_data_ptr<float>() + part * width);
      }
    });
    return {dx, parts == 1 ? partial.squeeze(0) : partial.sum(0), at::Tensor()};
  }
};

class ActivationFunction : public Function<ActivationFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, std::int64_t activation, bool gated) {
    context->saved_data["activation"] = activation;
    context->saved_data["gated"] = gated;
    context->save_for_backward({x});
    const at::Tensor from = AsFloat(x);
    const std::int64_t rows = from.size(0);
    const std::int64_t stride = from.size(1);
    const std::int64_t width = gated ? stride / 2 : stride;
    at::Tensor to = at::empty({rows, width}, from.options());
    const float* in = from.const_data_ptr<float>();
    float* out = to.mutable_data_ptr<float>();
    at::parallel_for(0, rows, RowGrain(stride), [&](std::int64_t begin, std::int64_t end) {
      kernels::Activation(static_cast<t5::Activation>(activation), gated, in + begin * stride, end - begin, width,
                          out + begin * width);
    });
    return to.to(x.scalar_type());
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto activation = static_cast<t5::Activation>(context->saved_data["activation"].toInt());
    const bool gated = context->saved_data["gated"].toBool();
    const at::Tensor x = context->get_saved_variables()[0];
    const at::Tensor from = AsFloat(x);
    const at::Tensor dy = AsFloat(gradients[0]);
    const std::int64_t width = dy.size(1);
    const std::int64_t stride = from.size(1);
    at::Tensor dx = at::empty_like(from);
    at::parallel_for(0, dy.size(0), RowGrain(stride), [&](std::int64_t begin, std::int64_t end) {
      kernels::ActivationBackward(activation, gated, from.const_data_ptr<float>() + begin * stride,
                                  dy.const_data_ptr<float>() + begin * width, end - begin, width,
                                  dx.mutable_data_ptr<float>() + begin * stride);
    });
    return {dx.to(x.scalar_type()), at::Tensor(), at::Tensor()};
  }
};

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
    context->save_for_backward({q, kv, bias, probabilities});
    context->saved_data["layout"] = c10::IValue::make_capsule(layout);
    context->saved_data["type"] = static_cast<std::int64_t>(queries.scalar_type());
    return out.to(queries.scalar_type());
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const c10::intrusive_ptr<torch::CustomClassHolder> holder = context->saved_data["layout"].toCapsule();
    const Layout& layout = static_cast<const Layout&>(*holder);
    const auto type = static_cast<at::ScalarType>(context->saved_data["type"].toInt());
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& q = saved[0];
    const at::Tensor& kv = saved[1];
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

std::uint64_t MixBits(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = a + 0x9e3779b97f4a7c15ULL * (b + 1);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

std::uint64_t DropoutKeys::Next() { return MixBits(base_, calls_++); }

at::Tensor Dropout(const at::Tensor& x, double p, DropoutKeys* keys) {
  if (p <= 0 || keys == nullptr) return x;
  const std::uint64_t key = keys->Next();
  if (x.is_cpu()) return DropoutFunction::apply(x, p, static_cast<std::int64_t>(key));
  at::Generator generator = x.device().is_cpu() ? at::Generator() : at::globalContext().defaultGenerator(x.device());
  generator.set_current_seed(key);
  return x * at::empty_like(x).bernoulli_(1 - p, generator).div_(1 - p);
}

at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  if (x.is_cpu()) return RmsNormFunction::apply(x, weight, epsilon);
  const at::Tensor wide = x.to(at::kFloat);
  return weight * wide * (wide.square().mean(-1, /*keepdim=*/true) + epsilon).rsqrt();
}

at::Tensor FeedForwardActivation(const at::Tensor& x, t5::Activation activation, bool gated) {
  if (x.is_cpu()) return ActivationFunction::apply(x, static_cast<std::int64_t>(activation), gated);
  const std::int64_t width = gated ? x.size(1) / 2 : x.size(1);
  const at::Tensor input = gated ? x.narrow(1, 0, width) : x;
  at::Tensor y;
  switch (activation) {
    case t5::Activation::kRelu:
      y = at::relu(input);
      break;
    case t5::Activation::kGeluNew:
      y = at::gelu(input, "tanh");
      break;
    case t5::Activation::kGelu:
      y = at::gelu(input, "none");
      break;
    case t5::Activation::kSilu:
      y = at::silu(input);
      break;
  }
  return gated ? y * x.narrow(1, width, width) : y;
}

at::Tensor Attention(const AttentionInput& input) {
  if (input.generic || !input.queries.is_cpu()) return PaddedAttention(input);
  const auto present = [](const at::Tensor& x) { return x.defined() ? std::optional<at::Tensor>(x) : std::nullopt; };
  return AttentionFunction::apply(input.queries, present(input.memory), present(input.bias_table),
                                  c10::make_intrusive<Layout>(input));
}

}  // namespace petit::distill
