#include "models/torch/cpu_select.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "models/torch/cpu_vector.h"
#include "models/torch/edits.h"

namespace petit::torch_executor {
namespace {

using decoding::Candidate;
using decoding::kNegInf;

constexpr int kLanes = 16;
constexpr int kBlock = 128;  // scores that share one entry in the table of maxima

PETIT_INLINE float MaxOf(const float* values, int count) {
  float lanes[kLanes];
  for (float& lane : lanes) lane = kNegInf;
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) {
#pragma omp simd
    for (int l = 0; l < kLanes; ++l) lanes[l] = values[i + l] > lanes[l] ? values[i + l] : lanes[l];
  }
  float highest = kNegInf;
  for (const float lane : lanes) highest = lane > highest ? lane : highest;
  for (; i < count; ++i) highest = values[i] > highest ? values[i] : highest;
  return highest;
}

PETIT_CPU_CLONES float LogSumExp(const float* values, int count) {
  const float highest = MaxOf(values, count);
  if (highest == kNegInf) {
    for (int i = 0; i < count; ++i) {
      if (values[i] != kNegInf) return values[i];  // NaN
    }
    return kNegInf;
  }
  double total = 0;
  for (int begin = 0; begin < count; begin += 1024) {  // float sums stay short
    const int end = begin + 1024 < count ? begin + 1024 : count;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = begin; i < end; ++i) sum += Exp(values[i] - highest);
    total += sum;
  }
  return static_cast<float>(highest + std::log(total));
}

// values -= subtrahend.
PETIT_CPU_CLONES void Subtract(float* values, int count, float subtrahend) {
#pragma omp simd
  for (int i = 0; i < count; ++i) values[i] -= subtrahend;
}

PETIT_CPU_CLONES void BlockMaxima(const float* values, int count, float* maxima) {
  for (int begin = 0; begin < count; begin += kBlock, ++maxima) {
    *maxima = MaxOf(values + begin, count - begin < kBlock ? count - begin : kBlock);
  }
}

// The best k: descending, equal ones by ascending id. Only blocks whose maximum reaches the k-th highest maximum can
// hold one of them.
std::vector<Candidate> Best(const float* scores, int count, int k) {
  const int blocks = (count + kBlock - 1) / kBlock;
  thread_local std::vector<float> maxima;
  maxima.resize(blocks);
  BlockMaxima(scores, count, maxima.data());

  k = std::min(k, count);
  if (k == 1) {
    const auto block = std::max_element(maxima.begin(), maxima.end()) - maxima.begin();
    const int begin = static_cast<int>(block) * kBlock;
    const int id = static_cast<int>(std::find(scores + begin, scores + count, maxima[block]) - scores);
    return {{id < count ? id : 0, maxima[block]}};
  }
  float threshold = kNegInf;
  if (k <= blocks) {
    thread_local std::vector<float> sorted;
    sorted.assign(maxima.begin(), maxima.end());
    std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end(), std::greater<>());
    threshold = sorted[k - 1];
  }
  std::vector<Candidate> best;
  for (int block = 0; block < blocks; ++block) {
    if (maxima[block] < threshold) continue;
    const int end = std::min(count, (block + 1) * kBlock);
    for (int id = block * kBlock; id < end; ++id) {
      if (scores[id] >= threshold) best.push_back({id, scores[id]});
    }
  }
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.log_prob != b.log_prob ? a.log_prob > b.log_prob : a.id < b.id;
  };
  const auto middle = best.begin() + std::min<std::ptrdiff_t>(k, static_cast<std::ptrdiff_t>(best.size()));
  std::partial_sort(best.begin(), middle, best.end(), better);
  best.erase(middle, best.end());
  return best;
}

}  // namespace

decoding::RowResult CpuAnswerRow(float* logits, int vocab_size, const decoding::RowRequest& request) {
  const auto edit = [&] {
    for (const decoding::Edit& change : request.edits) {
      if (change.kind == decoding::Edit::Kind::kForce) std::fill(logits, logits + vocab_size, kNegInf);
      logits[change.id] = Edited(logits[change.id], change);
    }
  };
  decoding::RowResult result;
  if (request.space == decoding::ScoreSpace::kLogits) edit();
  result.log_sum_exp = LogSumExp(logits, vocab_size);
  if (!(result.log_sum_exp < -kNegInf)) return result;
  // With everything banned there is nothing to subtract: -inf stays -inf.
  if (result.log_sum_exp != kNegInf) Subtract(logits, vocab_size, result.log_sum_exp);
  if (request.space == decoding::ScoreSpace::kLogProbs) edit();
  result.best = Best(logits, vocab_size, request.num_best);
  if (request.full_row) result.full_row.assign(logits, logits + vocab_size);
  return result;
}

void CpuAnswerRows(float* logits, int vocab_size, absl::Span<const decoding::RowRequest* const> requests,
                   decoding::RowResult* results) {
  const auto answer = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      results[row] = CpuAnswerRow(logits + row * vocab_size, vocab_size, *requests[row]);
    }
  };
  const auto rows = static_cast<std::int64_t>(requests.size());
  constexpr std::int64_t kGrainScores = 32768;  // below that, waking another thread costs more than it brings
  if (rows * vocab_size <= kGrainScores) return answer(0, rows);
  at::parallel_for(0, rows, std::max<std::int64_t>(1, kGrainScores / vocab_size), answer);
}

}  // namespace petit::torch_executor
