#include "models/torch/position_bias.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "models/decoding/step.h"
#include "models/t5/relative_position.h"

namespace petit::torch_executor {
namespace {

// Longer squares are made anew each time: kept, they would hold more memory than they save time.
constexpr int kLongestCachedSquare = 256;
constexpr int kDistanceStep = 256;

}  // namespace

PositionBias::PositionBias(at::Tensor table, bool bidirectional, const t5::T5Config& config)
    : table_(std::move(table)),
      bidirectional_(bidirectional),
      buckets_(config.relative_attention_num_buckets),
      max_distance_(config.relative_attention_max_distance) {}

at::Tensor PositionBias::MakeSquare(int length) const {
  const std::vector<int> buckets = t5::RelativePositionBuckets(length, bidirectional_, buckets_, max_distance_);
  const at::Tensor relative = at::tensor(buckets, at::kInt).to(at::kLong).to(table_.device());
  const at::Tensor by_relative = table_.index_select(0, relative);  // [2 * length - 1, heads]
  const at::Tensor positions = at::arange(length, at::TensorOptions(at::kLong).device(table_.device()));
  const at::Tensor places = positions.unsqueeze(0) - positions.unsqueeze(1) + (length - 1);  // key - query
  at::Tensor square =
      by_relative.index_select(0, places.view({-1})).view({length, length, -1}).permute({2, 0, 1}).contiguous();
  if (!bidirectional_) square.masked_fill_((positions.unsqueeze(0) > positions.unsqueeze(1)), decoding::kNegInf);
  return square;
}

at::Tensor PositionBias::Square(int length) {
  if (length > kLongestCachedSquare) return MakeSquare(length);
  if (!square_.defined() || square_.size(1) < length) {
    square_ = MakeSquare(std::min(kLongestCachedSquare, (length + 63) / 64 * 64));
  }
  return square_.narrow(1, 0, length).narrow(2, 0, length);
}

const at::Tensor& PositionBias::ByDistance(int longest) {
  if (!by_distance_.defined() || by_distance_.size(1) <= longest) {
    const int most = (longest / kDistanceStep + 1) * kDistanceStep;
    std::vector<int> buckets;
    buckets.reserve(most + 1);
    for (int distance = most; distance >= 0; --distance) {
      buckets.push_back(t5::RelativePositionBucket(-distance, false, buckets_, max_distance_));
    }
    const at::Tensor index = at::tensor(buckets, at::kInt).to(at::kLong).to(table_.device());
    by_distance_ = table_.index_select(0, index).t().contiguous();
  }
  return by_distance_;
}

}  // namespace petit::torch_executor
