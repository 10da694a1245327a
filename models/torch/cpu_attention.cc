#include "models/torch/cpu_attention.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "models/torch/cpu_vector.h"
#include "models/torch/page_pool.h"

namespace petit::torch_executor {
namespace {

// Multiply-adds below which waking another thread costs more than it brings.
constexpr std::int64_t kGrain = 65536;

// One head of one row.
template <typename T>
struct HeadJob {
  const T* query;            // [width]
  const T* head;             // this head in page 0: keys [width, kPageTokens], then values [kPageTokens, width]
  const int* pages;          // page numbers
  std::int64_t page_stride;  // elements from a page to the next
  int count;                 // keys
  int width;                 // of a head
  const float* bias;         // for key 0, ascending; null: none
  float* scores;             // scratch, whole pages
  T* out;                    // [width]
};

constexpr int kLanes = kPageTokens;  // a vector holds an element of each key of a page
using Lanes = float __attribute__((vector_size(sizeof(float) * kLanes)));
using Lanes16Bit = std::uint16_t __attribute__((vector_size(sizeof(std::uint16_t) * kLanes)));
using Lanes32Bit = std::uint32_t __attribute__((vector_size(sizeof(std::uint32_t) * kLanes)));

PETIT_INLINE void Load(const float* from, Lanes& lanes) { std::memcpy(&lanes, from, sizeof(lanes)); }
PETIT_INLINE void Load(const BFloat16* from, Lanes& lanes) {
  Lanes16Bit halves;
  std::memcpy(&halves, from, sizeof(halves));
  const Lanes32Bit bits = __builtin_convertvector(halves, Lanes32Bit) << 16;
  std::memcpy(&lanes, &bits, sizeof(lanes));
}

// Scores of the keys of one page; beyond the row's keys they are garbage.
template <typename T>
PETIT_INLINE void PageScores(const T* query, const T* keys, int width, float* scores) {
  Lanes sums[4] = {};  // four chains hide the latency of the additions
  Lanes k;
  int i = 0;
  for (; i + 4 <= width; i += 4) {
    for (int chain = 0; chain < 4; ++chain) {
      Load(keys + (i + chain) * kLanes, k);
      sums[chain] += k * ToFloat(query[i + chain]);
    }
  }
  for (; i < width; ++i) {
    Load(keys + i * kLanes, k);
    sums[0] += k * ToFloat(query[i]);
  }
  const Lanes sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  std::memcpy(scores, &sum, sizeof(sum));
}

// scores -> exp(scores - highest), over whole pages; returns the sum. What lies beyond `count` becomes 0.
PETIT_INLINE float Exponentials(float* scores, int count) {
  const int padded = (count + kLanes - 1) / kLanes * kLanes;
  for (int j = count; j < padded; ++j) scores[j] = -std::numeric_limits<float>::infinity();
  Lanes highest;
  Load(scores, highest);
  Lanes here;
  for (int j = kLanes; j < padded; j += kLanes) {
    Load(scores + j, here);
    highest = here > highest ? here : highest;
  }
  float peak = highest[0];
  for (int lane = 1; lane < kLanes; ++lane) peak = highest[lane] > peak ? highest[lane] : peak;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int j = 0; j < padded; ++j) {
    scores[j] = Exp(scores[j] - peak);
    sum += scores[j];
  }
  return sum;
}

// out[0..16) = weights . values[:, 0..16) over all keys.
template <typename T>
PETIT_INLINE void WeightedLanes(const HeadJob<T>& job, const T* values, float scale, T* out) {
  Lanes sums[2] = {};
  Lanes v;
  for (int page = 0, j = 0; j < job.count; ++page) {
    const T* value = values + job.pages[page] * job.page_stride;
    const int end = job.count - j < kPageTokens ? job.count : j + kPageTokens;
    for (; j + 2 <= end; j += 2, value += std::ptrdiff_t{2} * job.width) {
      Load(value, v);
      sums[0] += v * job.scores[j];
      Load(value + job.width, v);
      sums[1] += v * job.scores[j + 1];
    }
    for (; j < end; ++j, value += job.width) {
      Load(value, v);
      sums[0] += v * job.scores[j];
    }
  }
  const Lanes sum = (sums[0] + sums[1]) * scale;
  for (int lane = 0; lane < kLanes; ++lane) out[lane] = FromFloat<T>(sum[lane]);
}

template <typename T>
PETIT_INLINE void Head(const HeadJob<T>& job) {
  for (int page = 0, j = 0; j < job.count; ++page, j += kPageTokens) {
    PageScores(job.query, job.head + job.pages[page] * job.page_stride, job.width, job.scores + j);
  }
  if (job.bias != nullptr) {
#pragma omp simd
    for (int j = 0; j < job.count; ++j) job.scores[j] += job.bias[j];
  }
  const float scale = 1.0F / Exponentials(job.scores, job.count);
  const T* values = job.head + job.width * kLanes;
  int i = 0;
  for (; i + kLanes <= job.width; i += kLanes) WeightedLanes(job, values + i, scale, job.out + i);
  for (; i < job.width; ++i) {
    float sum = 0;
    for (int j = 0; j < job.count; ++j) {
      const T* page = values + job.pages[j / kPageTokens] * job.page_stride;
      sum += job.scores[j] * ToFloat(page[(j % kPageTokens) * job.width + i]);
    }
    job.out[i] = FromFloat<T>(sum * scale);
  }
}

PETIT_CPU_CLONES void HeadFloat(const HeadJob<float>& job) { Head(job); }
PETIT_CPU_CLONES void HeadBf16(const HeadJob<BFloat16>& job) { Head(job); }

template <typename T>
void Run(const RaggedAttentionInput& input, const at::Tensor& out, void (*head)(const HeadJob<T>&)) {
  const int width = input.head_width;
  const int inner = input.heads * width;
  const auto* query = static_cast<const T*>(input.query.const_data_ptr());
  const auto* pages = static_cast<const T*>(input.pages.const_data_ptr());
  auto* result = static_cast<T*>(out.mutable_data_ptr());
  const std::int64_t query_stride = input.query.stride(0);
  const float* bias = input.bias.defined() ? input.bias.const_data_ptr<float>() : nullptr;
  const std::int64_t longest = bias != nullptr ? input.bias.size(1) - 1 : 0;

  std::int64_t keys = 0;
  int most = 0;
  for (const RowKeys& row : input.rows) {
    keys += row.keys;
    most = std::max(most, row.keys);
  }
  const auto jobs = static_cast<std::int64_t>(input.rows.size()) * input.heads;
  const auto run = [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> scores(PagesFor(most) * kPageTokens);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = i / input.heads;
      const std::int64_t h = i % input.heads;
      const RowKeys& own = input.rows[row];
      head({.query = query + row * query_stride + h * width,
            .head = pages + h * input.pages.stride(1),
            .pages = own.pages.data(),
            .page_stride = input.pages.stride(0),
            .count = own.keys,
            .width = width,
            .bias = bias == nullptr ? nullptr : bias + h * (longest + 1) + longest - (own.keys - 1),
            .scores = scores.data(),
            .out = result + row * inner + h * width});
    }
  };
  const std::int64_t work_per_job = std::max<std::int64_t>(1, 2 * keys * inner / std::max<std::int64_t>(1, jobs));
  if (work_per_job * jobs <= kGrain) return run(0, jobs);
  at::parallel_for(0, jobs, std::max<std::int64_t>(1, kGrain / work_per_job), run);
}

template <typename T>
void Store(const at::Tensor& kv, absl::Span<const std::int64_t> pages, absl::Span<const std::int64_t> places,
           const at::Tensor& layer) {
  const auto* from = static_cast<const T*>(kv.const_data_ptr());
  auto* base = static_cast<T*>(layer.mutable_data_ptr());
  const std::int64_t heads = layer.size(1);
  const std::int64_t width = layer.size(3) / kPageTokens;
  for (std::size_t row = 0; row < pages.size(); ++row, from += kv.stride(0)) {
    T* to = base + pages[row] * layer.stride(0);
    for (std::int64_t h = 0; h < heads; ++h, to += layer.stride(1)) {
      const T* key = from + h * width;
      for (std::int64_t i = 0; i < width; ++i) to[i * kPageTokens + places[row]] = key[i];
      std::copy_n(key + heads * width, width, to + (kPageTokens + places[row]) * width);
    }
  }
}

}  // namespace

void CpuStoreKeysAndValues(const at::Tensor& kv, absl::Span<const std::int64_t> pages,
                           absl::Span<const std::int64_t> places, const at::Tensor& layer) {
  if (kv.scalar_type() == at::kFloat) {
    Store<float>(kv, pages, places, layer);
  } else {
    Store<BFloat16>(kv, pages, places, layer);
  }
}

at::Tensor CpuRaggedAttention(const RaggedAttentionInput& input) {
  at::Tensor out =
      at::empty({static_cast<std::int64_t>(input.rows.size()), std::int64_t{input.heads} * input.head_width},
                input.query.options());
  if (input.query.scalar_type() == at::kFloat) {
    Run<float>(input, out, HeadFloat);
  } else {
    Run<BFloat16>(input, out, HeadBf16);
  }
  return out;
}

}  // namespace petit::torch_executor
