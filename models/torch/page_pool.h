// Keys and values in pages, as an operating system keeps memory.
//
// A page holds, for every decoder layer, the keys and values of kPageTokens consecutive positions of one sequence: the
// decoder's own (self-attention) or the encoder's (cross-attention). Pages are counted, so beams share what they have
// in common and rows of different lengths waste at most one page each.
//
// In a page each head's keys lie across, [head_width, kPageTokens], so that one vector holds the same element of all
// keys, and its values along, [kPageTokens, head_width].
#ifndef PETIT_MODELS_TORCH_PAGE_POOL_H_
#define PETIT_MODELS_TORCH_PAGE_POOL_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace petit::torch_executor {

inline constexpr int kPageTokens = 16;

class PagePool {
 public:
  PagePool(int layers, int heads, int head_width, at::ScalarType type, c10::Device device);

  // Makes sure that `pages` can be allocated without growing. Grows by a quarter or as needed. Throws if the device is
  // full, and is then as before.
  void Reserve(int pages);

  int Allocate();  // one reference; Reserve must have been called
  void Share(int page) { ++references_[page]; }
  void Unref(int page);
  bool IsShared(int page) const { return references_[page] > 1; }

  // Copies whole pages, all layers.
  void Copy(absl::Span<const int> from, absl::Span<const int> to);

  // [capacity, heads, 2, head_width * kPageTokens], contiguous; valid until the next Reserve.
  const at::Tensor& layer(int index) const { return layers_[index]; }

  // [capacity, heads, head_width, kPageTokens] and [capacity, heads, kPageTokens, head_width]: views of a layer.
  at::Tensor keys(int layer) const { return layers_[layer].select(2, 0).unflatten(2, {head_width_, kPageTokens}); }
  at::Tensor values(int layer) const { return layers_[layer].select(2, 1).unflatten(2, {kPageTokens, head_width_}); }

  // Bytes of one page, all layers.
  std::int64_t page_bytes() const { return page_bytes_; }
  int pages_in_use() const { return capacity_ - static_cast<int>(free_.size()); }

 private:
  std::vector<at::Tensor> layers_;
  std::vector<int> references_;
  std::vector<int> free_;  // a stack
  int capacity_ = 0;
  int head_width_ = 0;
  std::int64_t page_bytes_ = 0;
};

// Pages for `tokens` positions.
inline std::int64_t PagesFor(std::int64_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

}  // namespace petit::torch_executor

#endif  // PETIT_MODELS_TORCH_PAGE_POOL_H_
