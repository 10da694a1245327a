#include "models/torch/packed_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <limits>

namespace petit::torch_executor {
namespace {

// [n, heads * width] -> [heads, n, width], a view; on the CPU in fp32, where 16 bits would compile a oneDNN kernel for
// every new length.
at::Tensor Heads(const at::Tensor& packed, std::int64_t begin, std::int64_t length, const PackedAttentionInput& input) {
  return packed.narrow(0, begin, length)
      .unflatten(1, {input.heads, input.head_width})
      .transpose(0, 1)
      .to(packed.is_cpu() ? at::kFloat : packed.scalar_type());
}

at::Tensor OneByOne(const PackedAttentionInput& input) {
  at::Tensor out =
      at::empty({input.query.size(0), std::int64_t{input.heads} * input.head_width}, input.query.options());
  std::int64_t q_begin = 0;
  std::int64_t k_begin = 0;
  for (std::size_t i = 0; i < input.query_lengths.size(); ++i) {
    const int q_length = input.query_lengths[i];
    const int k_length = input.key_lengths[i];
    const at::Tensor q = Heads(input.query, q_begin, q_length, input);
    const at::Tensor k = Heads(input.key, k_begin, k_length, input).transpose(1, 2);
    const at::Tensor v = Heads(input.value, k_begin, k_length, input);
    at::Tensor scores = at::bmm(q, k).to(at::kFloat);
    if (input.bias != nullptr) scores.add_(input.bias->Square(k_length));
    const at::Tensor context = at::bmm(at::softmax(scores, -1).to(v.scalar_type()), v);
    out.narrow(0, q_begin, q_length).view({q_length, input.heads, input.head_width}).copy_(context.transpose(0, 1));
    q_begin += q_length;
    k_begin += k_length;
  }
  out.narrow(0, q_begin, out.size(0) - q_begin).zero_();
  return out;
}

struct Padding {
  at::Tensor gather;   // [batch * longest]: packed index of each padded place; 0 beyond a sequence's end
  at::Tensor scatter;  // [total]: padded place of each packed index
  at::Tensor beyond;   // [batch, longest], bool: beyond a sequence's end
  std::int64_t longest = 0;
};

Padding MakePadding(const std::vector<int>& lengths, c10::Device device) {
  Padding padding;
  padding.longest = *std::max_element(lengths.begin(), lengths.end());
  const auto batch = static_cast<std::int64_t>(lengths.size());
  std::vector<std::int64_t> gather(batch * padding.longest, 0);
  std::vector<std::int64_t> scatter;
  for (std::int64_t i = 0; i < batch; ++i) {
    for (int j = 0; j < lengths[i]; ++j) {
      gather[i * padding.longest + j] = static_cast<std::int64_t>(scatter.size());
      scatter.push_back(i * padding.longest + j);
    }
  }
  const auto options = at::TensorOptions(at::kLong).device(device);
  padding.gather = at::tensor(gather, at::kLong).to(device);
  padding.scatter = at::tensor(scatter, at::kLong).to(device);
  std::vector<std::int64_t> wide(lengths.begin(), lengths.end());
  padding.beyond =
      at::arange(padding.longest, options).unsqueeze(0) >= at::tensor(wide, at::kLong).to(device).unsqueeze(1);
  return padding;
}

at::Tensor Padded(const PackedAttentionInput& input) {
  const Padding q_padding = MakePadding(input.query_lengths, input.query.device());
  const Padding k_padding = MakePadding(input.key_lengths, input.query.device());
  const auto batch = static_cast<std::int64_t>(input.query_lengths.size());
  const auto heads = [&](const at::Tensor& packed, const Padding& padding) {
    return packed.index_select(0, padding.gather)
        .view({batch, padding.longest, input.heads, input.head_width})
        .transpose(1, 2);
  };
  const at::Tensor q = heads(input.query, q_padding);
  const at::Tensor k = heads(input.key, k_padding).transpose(2, 3);
  const at::Tensor v = heads(input.value, k_padding);
  at::Tensor scores = at::matmul(q, k).to(at::kFloat);
  if (input.bias != nullptr) scores.add_(input.bias->Square(static_cast<int>(k_padding.longest)));
  // The lowest finite number, as Hugging Face: a padded query sees no -inf row.
  scores.masked_fill_(k_padding.beyond.view({batch, 1, 1, k_padding.longest}), std::numeric_limits<float>::lowest());
  const at::Tensor context = at::matmul(at::softmax(scores, -1).to(v.scalar_type()), v);
  return context.transpose(1, 2)
      .reshape({batch * q_padding.longest, std::int64_t{input.heads} * input.head_width})
      .index_select(0, q_padding.scatter);
}

}  // namespace

at::Tensor PackedAttention(const PackedAttentionInput& input) { return input.padded ? Padded(input) : OneByOne(input); }

}  // namespace petit::torch_executor
