// Forward and backward kernels for the CPU on plain arrays, computing in fp32. Row-major; rows lie one after the other
// unless a stride is named. std only.
#ifndef PETIT_MODELS_DISTILL_KERNELS_H_
#define PETIT_MODELS_DISTILL_KERNELS_H_

#include <cstdint>

#include "models/t5/config.h"
#include "models/torch/cpu_vector.h"

namespace petit::distill::kernels {

using torch_executor::BFloat16;

// x * (kept ? 1 / (1 - p) : 0) for elements [begin, end) of the mask with this key.
void Dropout(std::uint64_t key, float p, std::int64_t begin, std::int64_t end, const float* x, float* y);
void Dropout(std::uint64_t key, float p, std::int64_t begin, std::int64_t end, const float* x, BFloat16* y);
void Dropout(std::uint64_t key, float p, std::int64_t begin, std::int64_t end, const BFloat16* x, BFloat16* y);
// z = x + dropout(y).
void AddDropped(std::uint64_t key, float p, std::int64_t begin, std::int64_t end, const float* x, const float* y,
                float* z);
void AddDropped(std::uint64_t key, float p, std::int64_t begin, std::int64_t end, const float* x, const BFloat16* y,
                float* z);

// y = w * x * r, r = rsqrt(mean(x^2) + epsilon); r is kept for the gradient.
void RmsNorm(const float* x, const float* weight, float epsilon, std::int64_t rows, std::int64_t width, float* y,
             float* r);
void RmsNorm(const float* x, const float* weight, float epsilon, std::int64_t rows, std::int64_t width, BFloat16* y,
             float* r);
// dx = r * (w dy) - x * r^3 / width * sum(w dy x); dw += sum over rows of dy * x * r.
void RmsNormBackward(const float* dy, const float* x, const float* weight, const float* r, std::int64_t rows,
                     std::int64_t width, float* dx, float* dw);
void RmsNormBackward(const BFloat16* dy, const float* x, const float* weight, const float* r, std::int64_t rows,
                     std::int64_t width, float* dx, float* dw);

// Gated: x [rows, 2 width] -> y = act(x[:, :width]) * x[:, width:]. Else x [rows, width] -> act(x).
void Activation(t5::Activation activation, bool gated, const float* x, std::int64_t rows, std::int64_t width, float* y);
void Activation(t5::Activation activation, bool gated, const BFloat16* x, std::int64_t rows, std::int64_t width,
                BFloat16* y);
void ActivationBackward(t5::Activation activation, bool gated, const float* x, const float* dy, std::int64_t rows,
                        std::int64_t width, float* dx);
void ActivationBackward(t5::Activation activation, bool gated, const BFloat16* x, const BFloat16* dy, std::int64_t rows,
                        std::int64_t width, BFloat16* dx);

// One head of one sequence. Strides are between rows.
struct Head {
  std::int64_t queries = 0;
  std::int64_t keys = 0;
  std::int64_t width = 0;
  std::int64_t query_stride = 0;
  std::int64_t key_stride = 0;
  std::int64_t value_stride = 0;
  std::int64_t out_stride = 0;
  bool causal = false;
  // bias[buckets[j - i + offset]] is added to the score of query i and key j; null: none.
  const float* bias = nullptr;  // [buckets] of this head
  const int* buckets = nullptr;
  std::int64_t offset = 0;
  float dropout = 0;
  std::uint64_t dropout_key = 0;
};

// Floats of scratch that one head needs.
std::int64_t ForwardScratch(const Head& head);
std::int64_t BackwardScratch(const Head& head);

// probabilities [queries, keys]: the softmax, before dropout, kept for the gradient.
void AttentionForward(const Head& head, const float* query, const float* key, const float* value, float* scratch,
                      float* probabilities, float* out);
// dq, dk, dv have the strides of q, k, v and are written; dbias [buckets] is added to.
void AttentionBackward(const Head& head, const float* query, const float* key, const float* value,
                       const float* probabilities, const float* dout, float* scratch, float* dq, float* dk, float* dv,
                       float* dbias);

// What one row of logits gives.
struct RowLoss {
  double cross_entropy = 0;
  double smoothed = 0;  // with label smoothing
  double kl = 0;
};

struct RowOptions {
  std::int64_t vocab = 0;
  std::int64_t distribution = 0;  // ids of KL
  std::int32_t label = 0;
  float temperature = 1;
  float label_smoothing = 0;
  float cross_entropy_weight = 0;  // of the gradient
  float kl_weight = 0;             // of the gradient: alpha * T^2 * scale
  bool reverse = false;
};

// Dense teacher: log-probabilities [distribution], or null. Replaces the logits [vocab] by the gradient of
// cross_entropy_weight * smoothed + kl_weight * kl. scratch [2 vocab].
RowLoss DenseRow(const RowOptions& options, const float* teacher, float* logits, float* scratch);

// Sparse teacher: k different ids with their log-probabilities, and that of any other id. scratch [3 vocab].
RowLoss SparseRow(const RowOptions& options, const std::int32_t* ids, const float* log_probs, std::int64_t k,
                  float rest, float* logits, float* scratch);

// log_softmax(x[:n] / temperature) in y.
void LogProbs(const float* x, std::int64_t n, float temperature, float* y);

// One AdamW update of n values; `rate` and `decay` are already multiplied by what scales them. bias1 = 1 - beta1^t.
struct AdamStep {
  float rate = 0;
  float decay = 0;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float epsilon = 1e-8F;
  float bias1 = 1;
  float bias2 = 1;
  float gradient_scale = 1;
};
void AdamW(const AdamStep& step, std::int64_t n, const float* gradient, float* value, float* m, float* v);

}  // namespace petit::distill::kernels

#endif  // PETIT_MODELS_DISTILL_KERNELS_H_
