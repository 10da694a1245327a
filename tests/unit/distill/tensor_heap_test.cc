// The heap of CPU tensors: what it hands out, and that it stays whole.
#include "models/distill/tensor_heap.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace petit::distill {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

// Blocks of random sizes, some freed meanwhile; each holds a pattern of its own to the end.
void Exercise(unsigned seed, TensorHeap* heap) {
  std::mt19937 random(seed);
  std::vector<std::pair<unsigned char*, std::size_t>> blocks;
  const auto check_and_free = [&](std::size_t i) {
    const auto [data, size] = blocks[i];
    EXPECT_EQ(data[0], size % 251);
    EXPECT_EQ(data[size - 1], size % 251);
    EXPECT_TRUE(heap->Free(data));
    blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(i));
  };
  for (int i = 0; i < 400; ++i) {
    const std::size_t size = 1 + random() % (kMiB / 4);
    auto* data = static_cast<unsigned char*>(heap->Allocate(size));
    ASSERT_NE(data, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % TensorHeap::kAlignment, 0);
    std::memset(data, static_cast<int>(size % 251), size);
    blocks.emplace_back(data, size);
    if (random() % 3 == 0) check_and_free(random() % blocks.size());
  }
  while (!blocks.empty()) check_and_free(random() % blocks.size());
}

TEST(TensorHeap, BlocksDoNotOverlapAndHolesGrowTogether) {
  TensorHeap heap;
  Exercise(1, &heap);
  EXPECT_EQ(heap.usage().used, 0);
  // All that was freed is one hole again, if the mappings touch; at least every mapping is whole.
  const std::size_t mapped = heap.usage().mapped;
  std::vector<void*> whole;
  for (std::size_t taken = 0; taken < mapped; taken += 32 * kMiB) whole.push_back(heap.Allocate(32 * kMiB));
  EXPECT_EQ(heap.usage().mapped, mapped);
  for (void* data : whole) EXPECT_TRUE(heap.Free(data));
}

TEST(TensorHeap, StepsOfEverNewSizesNeedNoMoreThanTheLargest) {
  TensorHeap heap;
  std::mt19937 random(2);
  for (int step = 0; step < 200; ++step) {
    // As a training step: taken in one order, freed in the other, but for a few in between.
    std::vector<void*> blocks;
    for (int i = 0; i < 100; ++i) {
      blocks.push_back(heap.Allocate(kMiB / 2 + random() % (kMiB / 2)));
      void* passing = heap.Allocate(1 + random() % kMiB);
      heap.Free(passing);
    }
    for (; !blocks.empty(); blocks.pop_back()) heap.Free(blocks.back());
  }
  EXPECT_LT(heap.usage().mapped, 1.5 * static_cast<double>(heap.usage().most_used));
}

TEST(TensorHeap, TrimGivesBackWhatNobodyUses) {
  TensorHeap heap;
  void* kept = heap.Allocate(100);
  void* large = heap.Allocate(100 * kMiB);
  std::memset(kept, 7, 100);
  EXPECT_TRUE(heap.Free(large));
  EXPECT_GT(heap.usage().mapped, 100 * kMiB);
  heap.Trim();
  EXPECT_LE(heap.usage().mapped, 4096);
  EXPECT_EQ(static_cast<unsigned char*>(kept)[99], 7);
  EXPECT_TRUE(heap.Free(kept));
  heap.Trim();
  EXPECT_EQ(heap.usage().mapped, 0);
  Exercise(3, &heap);  // still of use
}

TEST(TensorHeap, KnowsWhatIsNotItsOwn) {
  TensorHeap heap;
  int other = 0;
  EXPECT_FALSE(heap.Free(&other));
  EXPECT_FALSE(heap.Free(nullptr));
}

TEST(TensorHeap, SaysSoWhereTheSystemHasNoMore) {
  TensorHeap heap;
  EXPECT_EQ(heap.Allocate(std::size_t{1} << 60), nullptr);
  EXPECT_EQ(heap.usage().used, 0);
}

TEST(TensorHeap, ServesSeveralThreads) {
  TensorHeap heap;
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 4; ++seed) threads.emplace_back(Exercise, seed, &heap);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(heap.usage().used, 0);
}

TEST(TensorHeap, TensorsOfBothHeapsLiveTogether) {
  const at::Tensor before = at::full({100000}, 1.0F);
  UseTensorHeap();
  UseTensorHeap();
  const at::Tensor small = at::full({3}, 2.0F);
  const at::Tensor large = at::full({100000}, 3.0F);
  at::Tensor grown = at::empty({0});
  grown.resize_({100000}).fill_(4);
  TrimTensorHeap();
  EXPECT_EQ((before + large + grown).sum().item<double>(), 8e5);
  EXPECT_EQ(small.sum().item<double>(), 6);
  EXPECT_THROW(at::empty({std::int64_t{1} << 58}), c10::Error);
}

}  // namespace
}  // namespace petit::distill
