#include "models/distill/tensor_heap.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <iterator>

namespace petit::distill {
namespace {

constexpr std::size_t kMapped = std::size_t{32} << 20;  // at a time
constexpr std::size_t kPage = 4096;
constexpr std::size_t kSmallestTensor = std::size_t{16} << 10;

std::size_t RoundUp(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

// Addresses are numbers here: holes of different mappings that touch are one.
void* Pointer(std::size_t address) { return reinterpret_cast<void*>(address); }  // NOLINT(performance-no-int-to-ptr)
std::size_t Address(const void* data) { return reinterpret_cast<std::size_t>(data); }

}  // namespace

TensorHeap::~TensorHeap() { Trim(); }

void* TensorHeap::Allocate(std::size_t bytes) {
  const std::size_t size = RoundUp(bytes, kAlignment);
  const std::lock_guard<std::mutex> lock(mutex_);
  auto best = holes_by_size_.lower_bound({size, 0});
  if (best == holes_by_size_.end()) {
    if (!Grow(size)) return nullptr;
    best = holes_by_size_.lower_bound({size, 0});
  }
  const auto [hole_size, begin] = *best;
  RemoveHole(holes_.find(begin));
  if (hole_size > size) AddHole(begin + size, hole_size - size);
  blocks_.emplace(begin, size);
  usage_.used += size;
  usage_.most_used = std::max(usage_.most_used, usage_.used);
  return Pointer(begin);
}

bool TensorHeap::Free(void* data) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto block = blocks_.find(Address(data));
  if (block == blocks_.end()) return false;
  usage_.used -= block->second;
  AddHole(block->first, block->second);
  blocks_.erase(block);
  return true;
}

void TensorHeap::Trim() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::map<std::size_t, std::size_t> holes = holes_;
  for (const auto& [begin, size] : holes) {
    const std::size_t first = RoundUp(begin, kPage);
    const std::size_t end = (begin + size) / kPage * kPage;
    if (end <= first || munmap(Pointer(first), end - first) != 0) continue;
    usage_.mapped -= end - first;
    RemoveHole(holes_.find(begin));
    if (first > begin) AddHole(begin, first - begin);
    if (begin + size > end) AddHole(end, begin + size - end);
  }
}

TensorHeap::Usage TensorHeap::usage() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return usage_;
}

bool TensorHeap::Grow(std::size_t bytes) {
  const std::size_t size = RoundUp(bytes, kMapped);
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return false;
  usage_.mapped += size;
  AddHole(Address(data), size);
  return true;
}

void TensorHeap::AddHole(std::size_t begin, std::size_t size) {
  const auto after = holes_.lower_bound(begin);
  if (after != holes_.end() && begin + size == after->first) {
    size += after->second;
    RemoveHole(after);
  }
  const auto next = holes_.lower_bound(begin);
  if (next != holes_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == begin) {
      begin = before->first;
      size += before->second;
      RemoveHole(before);
    }
  }
  holes_.emplace(begin, size);
  holes_by_size_.emplace(size, begin);
}

void TensorHeap::RemoveHole(std::map<std::size_t, std::size_t>::iterator hole) {
  holes_by_size_.erase({hole->second, hole->first});
  holes_.erase(hole);
}

namespace {

TensorHeap& ProcessHeap() {
  static TensorHeap* const heap = new TensorHeap();  // tensors may outlive every static object
  return *heap;
}

class HeapAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    if (bytes < kSmallestTensor) return c10::GetDefaultCPUAllocator()->allocate(bytes);
    void* data = ProcessHeap().Allocate(bytes);
    TORCH_CHECK_WITH(OutOfMemoryError, data != nullptr, "out of memory: no room for a tensor of ", bytes, " bytes");
    return {data, data, &Delete, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &Delete; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }

 private:
  static void Delete(void* data) {
    if (!ProcessHeap().Free(data)) c10::GetDefaultCPUAllocator()->raw_deleter()(data);
  }
};

std::atomic<bool> heap_in_use = false;

}  // namespace

void UseTensorHeap() {
  if (heap_in_use.exchange(true)) return;
  static HeapAllocator* const allocator = new HeapAllocator();
  c10::SetCPUAllocator(allocator, /*priority=*/100);
}

void TrimTensorHeap() {
  if (heap_in_use) ProcessHeap().Trim();
}

}  // namespace petit::distill
