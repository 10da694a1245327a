#include "models/distill/padded_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace petit::distill {
namespace {

struct Padding {
  at::Tensor gather;   // [sequences * longest]: the packed row of each padded one; 0 where there is none
  at::Tensor scatter;  // [packed rows]: the padded row of each packed one
  at::Tensor present;  // [sequences, longest], bool
  std::int64_t longest = 0;
};

Padding Pad(const std::vector<int>& lengths, at::Device device) {
  Padding padding;
  padding.longest = *std::max_element(lengths.begin(), lengths.end());
  std::vector<std::int64_t> gather;
  std::vector<std::int64_t> scatter;
  std::int64_t row = 0;
  for (const int length : lengths) {
    for (std::int64_t i = 0; i < padding.longest; ++i) {
      if (i < length) scatter.push_back(static_cast<std::int64_t>(gather.size()));
      gather.push_back(i < length ? row + i : 0);
    }
    row += length;
  }
  padding.gather = at::tensor(gather, at::kLong).to(device);
  padding.scatter = at::tensor(scatter, at::kLong).to(device);
  const at::Tensor positions = at::arange(padding.longest, at::kLong);
  padding.present = (positions.unsqueeze(0) <
                     at::tensor(std::vector<std::int64_t>(lengths.begin(), lengths.end()), at::kLong).unsqueeze(1))
                        .to(device);
  return padding;
}

// [packed, heads * width] -> [sequences, heads, longest, width]
at::Tensor Unpack(const at::Tensor& x, const Padding& padding, std::int64_t sequences, const AttentionInput& input) {
  return x.index_select(0, padding.gather)
      .view({sequences, padding.longest, input.heads, input.head_width})
      .transpose(1, 2)
      .to(at::kFloat);
}

}  // namespace

at::Tensor PaddedAttention(const AttentionInput& input) {
  const at::Device device = input.queries.device();
  const auto sequences = static_cast<std::int64_t>(input.query_lengths.size());
  const std::int64_t inner = std::int64_t{input.heads} * input.head_width;
  const bool self = !input.memory.defined();
  const Padding queries = Pad(input.query_lengths, device);
  const Padding keys = self ? queries : Pad(input.key_lengths, device);
  const at::Tensor& memory = self ? input.queries : input.memory;
  const std::int64_t first = self ? inner : 0;
  const at::Tensor q = Unpack(input.queries.narrow(1, 0, inner), queries, sequences, input);
  const at::Tensor k = Unpack(memory.narrow(1, first, inner), keys, sequences, input);
  const at::Tensor v = Unpack(memory.narrow(1, first + inner, inner), keys, sequences, input);

  at::Tensor scores = at::matmul(q, k.transpose(2, 3));
  if (input.bias_table.defined()) {
    const auto offset = static_cast<std::int64_t>(input.buckets->size() + 1) / 2 - 1;
    const at::Tensor relative =
        at::arange(keys.longest, at::kLong).unsqueeze(0) - at::arange(queries.longest, at::kLong).unsqueeze(1) + offset;
    const at::Tensor buckets =
        at::tensor(std::vector<std::int64_t>(input.buckets->begin(), input.buckets->end()), at::kLong)
            .index_select(0, relative.reshape({-1}))
            .to(device);
    scores = scores + input.bias_table.index_select(0, buckets)
                          .view({queries.longest, keys.longest, input.heads})
                          .permute({2, 0, 1})
                          .unsqueeze(0);
  }
  at::Tensor allowed = keys.present.view({sequences, 1, 1, keys.longest});
  if (input.causal) {
    allowed = allowed.logical_and(at::ones({queries.longest, keys.longest}, at::kBool).tril().to(device));
  }
  at::Tensor probabilities =
      at::softmax(scores.masked_fill(allowed.logical_not(), std::numeric_limits<float>::lowest()), -1);
  if (input.dropout > 0) {
    DropoutKeys keys_of_mask(input.dropout_key);
    probabilities = Dropout(probabilities, input.dropout, &keys_of_mask);
  }
  const at::Tensor context = at::matmul(probabilities, v)
                                 .transpose(1, 2)
                                 .reshape({sequences * queries.longest, inner})
                                 .index_select(0, queries.scatter)
                                 .to(input.queries.scalar_type());
  const std::int64_t extra = input.queries.size(0) - context.size(0);
  return extra == 0 ? context : at::cat({context, at::zeros({extra, inner}, context.options())});
}

}  // namespace petit::distill
