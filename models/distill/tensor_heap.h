// Memory of CPU tensors, kept apart from the process's heap.
//
// A training step takes hundreds of tensors of ever new sizes and gives nearly all of them back. In malloc's heap the
// small lasting objects that come to lie between them (oneDNN's kernels above all) keep the holes from growing together
// again, so that the process needs several times what is in use. Here only tensors live, and neighbouring holes are
// one: after a step the heap is whole again.
#ifndef PETIT_MODELS_DISTILL_TENSOR_HEAP_H_
#define PETIT_MODELS_DISTILL_TENSOR_HEAP_H_

#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace petit::distill {

// Best fit over mapped memory. Thread-safe.
class TensorHeap {
 public:
  // Of addresses and of the sizes handed out.
  static constexpr std::size_t kAlignment = 64;

  TensorHeap() = default;
  TensorHeap(const TensorHeap&) = delete;
  TensorHeap& operator=(const TensorHeap&) = delete;
  ~TensorHeap();

  // Null where the system has no more. `bytes` > 0.
  void* Allocate(std::size_t bytes);
  // False: not from here.
  bool Free(void* data);
  // Gives back to the system what nobody uses.
  void Trim();

  struct Usage {
    std::size_t used = 0;
    std::size_t mapped = 0;
    std::size_t most_used = 0;
  };
  Usage usage() const;

 private:
  bool Grow(std::size_t bytes);
  void AddHole(std::size_t begin, std::size_t size);
  void RemoveHole(std::map<std::size_t, std::size_t>::iterator hole);

  mutable std::mutex mutex_;
  std::map<std::size_t, std::size_t> holes_;                     // size by address; no two touch
  std::set<std::pair<std::size_t, std::size_t>> holes_by_size_;  // the same
  std::map<std::size_t, std::size_t> blocks_;                    // size by address
  Usage usage_;
};

// From now on CPU tensors of 16 KiB and more lie in one TensorHeap of the process, which lasts as long as the process.
// Idempotent.
void UseTensorHeap();
// Trims it, where there is one.
void TrimTensorHeap();

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_TENSOR_HEAP_H_
