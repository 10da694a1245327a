#include "models/distill/kernels.h"

#include <cmath>

#include "models/torch/cpu_vector.h"

namespace petit::distill::kernels {
namespace {

using torch_executor::Exp;

PETIT_INLINE float Max(const float* x, std::int64_t n) {
  float max = x[0];
#pragma omp simd reduction(max : max)
  for (std::int64_t i = 0; i < n; ++i) max = x[i] > max ? x[i] : max;
  return max;
}

// y = exp(x * factor - shift), and the sum.
PETIT_INLINE float ExpSum(const float* x, std::int64_t n, float factor, float shift, float* y) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = Exp(x[i] * factor - shift);
    sum += y[i];
  }
  return sum;
}

PETIT_INLINE float Sum(const float* x, std::int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) sum += x[i];
  return sum;
}

// The cross-entropy part of a row. Leaves exp(x - max) in `e`, and returns its sum by `sum`.
PETIT_INLINE RowLoss CrossEntropy(const RowOptions& options, const float* logits, float max, float* e, float* sum) {
  *sum = ExpSum(logits, options.vocab, 1.0F, max, e);
  const float log_sum = max + std::log(*sum);
  RowLoss loss;
  loss.cross_entropy = log_sum - logits[options.label];
  loss.smoothed = loss.cross_entropy;
  if (options.label_smoothing > 0) {
    const float mean = Sum(logits, options.vocab) / static_cast<float>(options.vocab);
    loss.smoothed = (1 - options.label_smoothing) * loss.cross_entropy + options.label_smoothing * (log_sum - mean);
  }
  return loss;
}

// logits = weight * d smoothed / d logits.
PETIT_INLINE void CrossEntropyGradient(const RowOptions& options, const float* e, float sum, float* logits) {
  const float factor = options.cross_entropy_weight / sum;
  const float even = options.cross_entropy_weight * options.label_smoothing / static_cast<float>(options.vocab);
#pragma omp simd
  for (std::int64_t i = 0; i < options.vocab; ++i) logits[i] = e[i] * factor - even;
  logits[options.label] -= options.cross_entropy_weight * (1 - options.label_smoothing);
}

}  // namespace

PETIT_CPU_CLONES RowLoss DenseRow(const RowOptions& options, const float* teacher, float* logits, float* scratch) {
  const std::int64_t vocab = options.vocab;
  const std::int64_t n = options.distribution;
  float* const e = scratch;
  float* const q = scratch + vocab;
  const float max = Max(logits, vocab);
  float sum;
  RowLoss loss = CrossEntropy(options, logits, max, e, &sum);
  if (teacher == nullptr) {
    CrossEntropyGradient(options, e, sum, logits);
    return loss;
  }
  const float inverse = 1.0F / options.temperature;
  const float top = max * inverse;
  const float total = ExpSum(logits, n, inverse, top, q);
  const float log_total = top + std::log(total);
  const float normal = 1.0F / total;
  float kl = 0;
  if (!options.reverse) {
    // d KL(p || q) / d logits = (q - p) / T
    const float weight = options.kl_weight * inverse;
#pragma omp simd reduction(+ : kl)
    for (std::int64_t i = 0; i < n; ++i) {
      const float p = Exp(teacher[i]);
      kl += p > 0 ? p * (teacher[i] - (logits[i] * inverse - log_total)) : 0.0F;
      q[i] = weight * (q[i] * normal - p);
    }
  } else {
    // d KL(q || p) / d logits = q (log q - log p - KL) / T
    const float weight = options.kl_weight * inverse;
#pragma omp simd reduction(+ : kl)
    for (std::int64_t i = 0; i < n; ++i) {
      q[i] *= normal;
      kl += q[i] * (logits[i] * inverse - log_total - teacher[i]);
    }
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
      q[i] *= weight * (logits[i] * inverse - log_total - teacher[i] - kl);
    }
  }
  loss.kl = kl;
  CrossEntropyGradient(options, e, sum, logits);
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) logits[i] += q[i];
  return loss;
}

PETIT_CPU_CLONES RowLoss SparseRow(const RowOptions& options, const std::int32_t* ids, const float* log_probs,
                                   std::int64_t k, float rest, float* logits, float* scratch) {
  const std::int64_t vocab = options.vocab;
  const std::int64_t n = options.distribution;
  float* const e = scratch;
  float* const q = scratch + vocab;
  float* const gradients = q + vocab;  // of the k
  rest = rest > -30.0F ? rest : -30.0F;
  const float max = Max(logits, vocab);
  float sum;
  RowLoss loss = CrossEntropy(options, logits, max, e, &sum);
  const float inverse = 1.0F / options.temperature;
  const float top = max * inverse;
  float total = ExpSum(logits, n, inverse, top, q);
  const float log_total = top + std::log(total);
  float others = total;
  for (std::int64_t j = 0; j < k; ++j) others -= q[ids[j]];
  if (others < 1e-4F * total) {
    // Cancelled away: sum the others alone.
    double exact = 0;
    for (std::int64_t i = 0; i < n; ++i) exact += q[i];
    for (std::int64_t j = 0; j < k; ++j) exact -= q[ids[j]];
    others = exact > 1e-12 * total ? static_cast<float>(exact) : 1e-12F * total;
  }
  const float normal = 1.0F / total;
  const float log_rest = std::log(others) - std::log(total);  // the student's, of any other id
  const float p_rest = Exp(rest);
  const float q_rest = others * normal;
  const float weight = options.kl_weight * inverse;
  double kl = 0;
  // Gradient by outcome: forward q - p. An outcome of several ids hands it out by their shares of it.
  // Reverse: q (log q - log p - KL).
  if (!options.reverse) {
    kl += p_rest * (rest - log_rest);
    for (std::int64_t j = 0; j < k; ++j) {
      kl += Exp(log_probs[j]) * (log_probs[j] - (logits[ids[j]] * inverse - log_total));
    }
  } else {
    kl += q_rest * (log_rest - rest);
    for (std::int64_t j = 0; j < k; ++j) {
      const float log_q = logits[ids[j]] * inverse - log_total;
      kl += Exp(log_q) * (log_q - log_probs[j]);
    }
  }
  loss.kl = kl;
  const float rest_factor = options.reverse ? weight * normal * (log_rest - rest - static_cast<float>(kl))
                                            : weight * normal * (1.0F - p_rest / q_rest);
  for (std::int64_t j = 0; j < k; ++j) {
    const float share = q[ids[j]] * normal;
    const float log_q = logits[ids[j]] * inverse - log_total;
    gradients[j] =
        options.reverse ? share * (log_q - log_probs[j] - static_cast<float>(kl)) : share - Exp(log_probs[j]);
  }
  CrossEntropyGradient(options, e, sum, logits);
  for (std::int64_t j = 0; j < k; ++j) q[ids[j]] = 0;
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) logits[i] += rest_factor * q[i];
  for (std::int64_t j = 0; j < k; ++j) logits[ids[j]] += weight * gradients[j];
  return loss;
}

PETIT_CPU_CLONES void LogProbs(const float* x, std::int64_t n, float temperature, float* y) {
  const float inverse = 1.0F / temperature;
  const float top = Max(x, n) * inverse;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) sum += Exp(x[i] * inverse - top);
  const float log_sum = top + std::log(sum);
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] * inverse - log_sum;
}

PETIT_CPU_CLONES void AdamW(const AdamStep& step, std::int64_t n, const float* gradient, float* value, float* m,
                            float* v) {
  const float keep = 1.0F - step.decay;
  const float rate = step.rate / step.bias1;
  const float root = 1.0F / std::sqrt(step.bias2);
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = gradient[i] * step.gradient_scale;
    m[i] = step.beta1 * m[i] + (1.0F - step.beta1) * g;
    v[i] = step.beta2 * v[i] + (1.0F - step.beta2) * g * g;
    value[i] = value[i] * keep - rate * m[i] / (std::sqrt(v[i]) * root + step.epsilon);
  }
}

}  // namespace petit::distill::kernels
