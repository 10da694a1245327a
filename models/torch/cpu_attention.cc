#include "models/torch/cpu_attention.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstdint>
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
  const T* query;      // [width]
  const T* keys;       // of this head in page 0, position 0
  const int* pages;    // page numbers
  int count;           // keys
  int inner;           // from a key to its value; a position is 2 * inner
  int width;           // of a head
  const float* bias;   // for key 0, ascending; null: none
  float* scores;       // [count], scratch
  float* accumulator;  // [width], scratch
  T* out;              // [width]
};

template <typename T>
PETIT_INLINE void Scores(const HeadJob<T>& job, const T* keys, int count, float* scores) {
  const int stride = 2 * job.inner;
  int j = 0;
  for (; j + 4 <= count; j += 4) {  // four keys share the loads of the query
    const T* k = keys + static_cast<std::int64_t>(j) * stride;
    float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
    for (int i = 0; i < job.width; ++i) {
      const float q = ToFloat(job.query[i]);
      s0 += q * ToFloat(k[i]);
      s1 += q * ToFloat(k[i + stride]);
      s2 += q * ToFloat(k[i + 2 * stride]);
      s3 += q * ToFloat(k[i + 3 * stride]);
    }
    scores[j] = s0;
    scores[j + 1] = s1;
    scores[j + 2] = s2;
    scores[j + 3] = s3;
  }
  for (; j < count; ++j) {
    const T* k = keys + static_cast<std::int64_t>(j) * stride;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < job.width; ++i) sum += ToFloat(job.query[i]) * ToFloat(k[i]);
    scores[j] = sum;
  }
}

template <typename T>
PETIT_INLINE void Head(const HeadJob<T>& job) {
  const std::int64_t page_elements = std::int64_t{kPageTokens} * 2 * job.inner;
  for (int page = 0, j = 0; j < job.count; ++page, j += kPageTokens) {
    const int here = job.count - j < kPageTokens ? job.count - j : kPageTokens;
    Scores(job, job.keys + job.pages[page] * page_elements, here, job.scores + j);
  }
  if (job.bias != nullptr) {
#pragma omp simd
    for (int j = 0; j < job.count; ++j) job.scores[j] += job.bias[j];
  }
  float highest = job.scores[0];
  for (int j = 1; j < job.count; ++j) highest = job.scores[j] > highest ? job.scores[j] : highest;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int j = 0; j < job.count; ++j) {
    job.scores[j] = Exp(job.scores[j] - highest);
    sum += job.scores[j];
  }
  const float scale = 1.0F / sum;
  float* acc = job.accumulator;
  for (int i = 0; i < job.width; ++i) acc[i] = 0;
  for (int page = 0, j = 0; j < job.count; ++page) {
    const T* value = job.keys + job.pages[page] * page_elements + job.inner;
    const int end = job.count - j < kPageTokens ? job.count : j + kPageTokens;
    for (; j < end; ++j, value += std::int64_t{2} * job.inner) {
      const float p = job.scores[j] * scale;
#pragma omp simd
      for (int i = 0; i < job.width; ++i) acc[i] += p * ToFloat(value[i]);
    }
  }
  for (int i = 0; i < job.width; ++i) job.out[i] = FromFloat<T>(acc[i]);
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
    std::vector<float> scratch(static_cast<std::size_t>(most) + width);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = i / input.heads;
      const std::int64_t h = i % input.heads;
      const RowKeys& own = input.rows[row];
      head({.query = query + row * query_stride + h * width,
            .keys = pages + h * width,
            .pages = own.pages.data(),
            .count = own.keys,
            .inner = inner,
            .width = width,
            .bias = bias == nullptr ? nullptr : bias + h * (longest + 1) + longest - (own.keys - 1),
            .scores = scratch.data(),
            .accumulator = scratch.data() + most,
            .out = result + row * inner + h * width});
    }
  };
  const std::int64_t work_per_job = std::max<std::int64_t>(1, 2 * keys * inner / std::max<std::int64_t>(1, jobs));
  if (work_per_job * jobs <= kGrain) return run(0, jobs);
  at::parallel_for(0, jobs, std::max<std::int64_t>(1, kGrain / work_per_job), run);
}

}  // namespace

at::Tensor CpuRaggedAttention(const RaggedAttentionInput& input) {
  const at::Tensor out =
      at::empty({static_cast<std::int64_t>(input.rows.size()), input.heads * input.head_width}, input.query.options());
  if (input.query.scalar_type() == at::kFloat) {
    Run<float>(input, out, HeadFloat);
  } else {
    Run<BFloat16>(input, out, HeadBf16);
  }
  return out;
}

}  // namespace petit::torch_executor
