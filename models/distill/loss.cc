#include "models/distill/loss.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "models/distill/kernels.h"
#include "models/distill/product.h"
#include "models/distill/rows.h"

namespace petit::distill {
namespace {

// Of one chunk of logits: to be found in the cache again. But the gradient of the output weight is read and written for
// each chunk, which fewer rows would not be worth.
constexpr std::int64_t kLogitBytes = std::int64_t{8} << 20;
constexpr std::int64_t kLeastRows = 256;

struct ChunkSums {
  double cross_entropy = 0;
  double smoothed = 0;
  double kl = 0;
};

// With rows of zeros up to RowsToCompute.
at::Tensor PadRows(const at::Tensor& x) {
  const std::int64_t missing = RowsToCompute(x.size(0)) - x.size(0);
  return missing == 0 ? x : at::constant_pad_nd(x, {0, 0, 0, missing});
}

// Replaces the logits [rows, vocab] (fp32, contiguous) of tokens [first, first + rows) by their gradient.
ChunkSums CpuChunk(const LossInput& input, const kernels::RowOptions& common, std::int64_t first,
                   const at::Tensor& logits) {
  const std::int64_t rows = logits.size(0);
  const std::int64_t vocab = logits.size(1);
  std::vector<kernels::RowLoss> losses(static_cast<std::size_t>(rows));
  float* const data = logits.mutable_data_ptr<float>();
  const TeacherTargets& teacher = input.teacher;
  at::parallel_for(0, rows, 4, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> scratch(static_cast<std::size_t>(3 * vocab));
    for (std::int64_t row = begin; row < end; ++row) {
      kernels::RowOptions options = common;
      options.label = input.targets[first + row];
      float* const line = data + row * vocab;
      if (teacher.sparse()) {
        const std::int64_t k = teacher.top_ids.size(1);
        const std::int64_t at = (first + row) * k;
        losses[row] =
            kernels::SparseRow(options, teacher.top_ids.const_data_ptr<std::int32_t>() + at,
                               teacher.top_log_probs.const_data_ptr<float>() + at, k,
                               teacher.rest_log_probs.const_data_ptr<float>()[first + row], line, scratch.data());
      } else {
        const float* reference =
            teacher.dense() ? teacher.log_probs.const_data_ptr<float>() + (first + row) * input.distribution_size
                            : nullptr;
        losses[row] = kernels::DenseRow(options, reference, line, scratch.data());
      }
    }
  });
  ChunkSums sums;
  for (const kernels::RowLoss& loss : losses) {
    sums.cross_entropy += loss.cross_entropy;
    sums.smoothed += loss.smoothed;
    sums.kl += loss.kl;
  }
  return sums;
}

// The same by LibTorch's operations.
ChunkSums GenericChunk(const LossInput& input, const kernels::RowOptions& common, std::int64_t first,
                       at::Tensor* logits_and_gradient) {
  const at::Tensor logits = *logits_and_gradient;
  const std::int64_t rows = logits.size(0);
  const std::int64_t n = input.distribution_size;
  const std::vector<std::int64_t> ids(input.targets.begin() + first, input.targets.begin() + first + rows);
  const at::Tensor labels = at::tensor(ids, at::kLong).to(logits.device()).unsqueeze(1);
  const at::Tensor log_q = at::log_softmax(logits, 1);
  const double smoothing = common.label_smoothing;
  const at::Tensor cross_entropy = -log_q.gather(1, labels).squeeze(1);
  const at::Tensor smoothed = cross_entropy * (1 - smoothing) - log_q.mean(1) * smoothing;
  at::Tensor gradient = log_q.exp() - smoothing / static_cast<double>(common.vocab);
  gradient.scatter_add_(1, labels, at::full_like(labels, -(1 - smoothing), gradient.options()));
  gradient.mul_(common.cross_entropy_weight);
  ChunkSums sums{.cross_entropy = cross_entropy.sum().item<double>(), .smoothed = smoothed.sum().item<double>()};

  const TeacherTargets& teacher = input.teacher;
  if (teacher.dense() || teacher.sparse()) {
    const at::Tensor u = at::log_softmax(logits.narrow(1, 0, n) / common.temperature, 1);
    const double weight = common.kl_weight / common.temperature;
    at::Tensor p;          // the teacher's, of each id or of its outcome's share
    at::Tensor log_ratio;  // log(student / teacher) of each id's outcome
    at::Tensor q = u.exp();
    at::Tensor kl;
    at::Tensor part;
    if (teacher.dense()) {
      const at::Tensor log_p = teacher.log_probs.narrow(0, first, rows).to(logits.device());
      log_ratio = u - log_p;
      if (common.reverse) {
        kl = (q * log_ratio).sum(1);
        part = q * (log_ratio - kl.unsqueeze(1));
      } else {
        p = log_p.exp();
        kl = -(p * log_ratio).sum(1);
        part = q - p;
      }
    } else {
      const at::Tensor top = teacher.top_ids.narrow(0, first, rows).to(logits.device()).to(at::kLong);
      const at::Tensor log_p = teacher.top_log_probs.narrow(0, first, rows).to(logits.device());
      const at::Tensor log_rest = teacher.rest_log_probs.narrow(0, first, rows).to(logits.device()).clamp_min(-30);
      const at::Tensor log_q_top = u.gather(1, top);
      const at::Tensor q_rest = q.scatter(1, top, 0).sum(1).clamp_min(1e-12);
      const at::Tensor rest_ratio = q_rest.log() - log_rest;
      const at::Tensor top_ratio = log_q_top - log_p;
      if (common.reverse) {
        kl = (log_q_top.exp() * top_ratio).sum(1) + q_rest * rest_ratio;
        part = (q * (rest_ratio - kl).unsqueeze(1)).scatter(1, top, log_q_top.exp() * (top_ratio - kl.unsqueeze(1)));
      } else {
        kl = -(log_p.exp() * top_ratio).sum(1) - log_rest.exp() * rest_ratio;
        part = (q * (1 - log_rest.exp() / q_rest).unsqueeze(1)).scatter(1, top, log_q_top.exp() - log_p.exp());
      }
    }
    sums.kl = kl.sum().item<double>();
    gradient.narrow(1, 0, n).add_(part, weight);
  }
  *logits_and_gradient = gradient;
  return sums;
}

}  // namespace

LossOutput DistillationLoss(const LossInput& input) {
  const at::NoGradGuard no_gradient;
  const std::int64_t tokens = input.hidden.size(0);
  const std::int64_t vocab = input.output_weight.size(0);
  const double t = input.loss.temperature;
  kernels::RowOptions common;
  common.vocab = vocab;
  common.distribution = input.distribution_size;
  common.temperature = static_cast<float>(t);
  common.label_smoothing = static_cast<float>(input.loss.label_smoothing);
  common.cross_entropy_weight = static_cast<float>((1 - input.alpha) * input.scale);
  common.kl_weight = static_cast<float>(input.alpha * t * t * input.scale);
  common.reverse = input.loss.divergence == Divergence::kReverseKl;

  LossOutput output;
  if (input.want_gradients) {
    output.hidden_gradient = at::empty_like(input.hidden);
    output.output_weight_gradient = at::zeros(input.output_weight.sizes(), input.hidden.options().dtype(at::kFloat));
  }
  const std::int64_t chunk = std::max(kLeastRows, kLogitBytes / (4 * vocab) / kRowUnit * kRowUnit);
  for (std::int64_t first = 0; first < tokens; first += chunk) {
    const std::int64_t rows = std::min(chunk, tokens - first);
    const at::Tensor hidden = PadRows(input.hidden.narrow(0, first, rows));
    const at::Tensor all_logits = PlainProduct(hidden, input.output_weight).to(at::kFloat);
    at::Tensor logits = all_logits.narrow(0, 0, rows);
    const ChunkSums sums =
        logits.is_cpu() ? CpuChunk(input, common, first, logits) : GenericChunk(input, common, first, &logits);
    output.cross_entropy += sums.cross_entropy;
    output.smoothed_cross_entropy += sums.smoothed;
    output.kl += sums.kl;
    if (!input.want_gradients) continue;
    const at::Tensor gradient = PadRows(logits.to(hidden.scalar_type()));
    output.hidden_gradient.narrow(0, first, rows)
        .copy_(PlainProduct(gradient, input.output_weight.t()).narrow(0, 0, rows));
    if (hidden.scalar_type() == at::kFloat) {
      output.output_weight_gradient.addmm_(gradient.t(), hidden);
    } else {
      output.output_weight_gradient.add_(at::mm(gradient.t(), hidden));
    }
  }
  return output;
}

at::Tensor LogProbs(const at::Tensor& logits, std::int64_t distribution_size, double temperature) {
  const at::NoGradGuard no_gradient;
  if (!logits.is_cpu()) return at::log_softmax(logits.narrow(1, 0, distribution_size) / temperature, 1);
  const at::Tensor from = logits.to(at::kFloat).contiguous();
  at::Tensor to = at::empty({from.size(0), distribution_size}, from.options());
  at::parallel_for(0, from.size(0), 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      kernels::LogProbs(from.const_data_ptr<float>() + row * from.size(1), distribution_size,
                        static_cast<float>(temperature), to.mutable_data_ptr<float>() + row * distribution_size);
    }
  });
  return to;
}

}  // namespace petit::distill
