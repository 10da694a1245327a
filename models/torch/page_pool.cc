#include "models/torch/page_pool.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

namespace petit::torch_executor {

PagePool::PagePool(int layers, int heads, int head_width, at::ScalarType type, c10::Device device)
    : head_width_(head_width) {
  const auto options = at::TensorOptions(type).device(device);
  const std::int64_t half = std::int64_t{head_width} * kPageTokens;
  for (int i = 0; i < layers; ++i) layers_.push_back(at::empty({0, heads, 2, half}, options));
  page_bytes_ = half * 2 * heads * layers * static_cast<std::int64_t>(c10::elementSize(type));
}

void PagePool::Reserve(int pages) {
  const int missing = pages - static_cast<int>(free_.size());
  if (missing <= 0) return;
  const int needed = capacity_ + missing;
  const int grown = std::max(needed, capacity_ + capacity_ / 4);
  for (at::Tensor& layer : layers_) {
    if (layer.size(0) >= grown) continue;  // an earlier try ran out of memory after this layer
    // Zeros: where a kernel masks positions rather than skip them, what lies there must be finite.
    at::Tensor larger = at::zeros({grown, layer.size(1), 2, layer.size(3)}, layer.options());
    if (capacity_ > 0) larger.narrow(0, 0, capacity_).copy_(layer.narrow(0, 0, capacity_));
    layer = larger;
  }
  references_.resize(grown, 0);
  for (int page = grown - 1; page >= capacity_; --page) free_.push_back(page);
  capacity_ = grown;
}

int PagePool::Allocate() {
  TORCH_CHECK(!free_.empty(), "no page was reserved");
  const int page = free_.back();
  free_.pop_back();
  references_[page] = 1;
  return page;
}

void PagePool::Unref(int page) {
  if (--references_[page] == 0) free_.push_back(page);
}

void PagePool::Copy(absl::Span<const int> from, absl::Span<const int> to) {
  if (from.empty()) return;
  if (!layers_[0].is_cpu()) {
    const auto index = [&](absl::Span<const int> pages) {
      return at::tensor(at::ArrayRef<int>(pages.data(), pages.size()), at::kInt).to(at::kLong).to(layers_[0].device());
    };
    const at::Tensor sources = index(from);
    const at::Tensor targets = index(to);
    for (at::Tensor& layer : layers_) layer.index_copy_(0, targets, layer.index_select(0, sources));
    return;
  }
  for (at::Tensor& layer : layers_) {
    auto* base = static_cast<std::byte*>(layer.data_ptr());
    const std::size_t bytes = layer.nbytes() / layer.size(0);
    for (std::size_t i = 0; i < from.size(); ++i) std::memcpy(base + to[i] * bytes, base + from[i] * bytes, bytes);
  }
}

}  // namespace petit::torch_executor
