// The distillation loss over the vocabulary, fused with the product that makes the logits.
#ifndef PETIT_MODELS_DISTILL_LOSS_H_
#define PETIT_MODELS_DISTILL_LOSS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/distill/settings.h"
#include "models/t5/config.h"

namespace petit::distill {

// What the teacher says of each target token, at the loss's temperature. Either dense or sparse, or nothing.
struct TeacherTargets {
  // Dense: log-probabilities [tokens, distribution_size], fp32.
  at::Tensor log_probs;
  // Sparse: the k most probable ids and their log-probabilities [tokens, k] (int32, fp32); the rest's [tokens] fp32.
  at::Tensor top_ids;
  at::Tensor top_log_probs;
  at::Tensor rest_log_probs;

  bool dense() const { return log_probs.defined(); }
  bool sparse() const { return top_ids.defined(); }
};

struct LossInput {
  at::Tensor hidden;                        // [tokens, d_model]
  at::Tensor output_weight;                 // [vocab_size, d_model], of hidden's type
  const std::vector<t5::TokenId>& targets;  // the labels
  const TeacherTargets& teacher;
  double alpha = 0;
  LossSettings loss;
  // Ids that a text can produce: KL is over these alone. Cross-entropy is over all, as upstream's: the padded rows of
  // the vocabulary take part in generation and must learn to be improbable.
  std::int64_t distribution_size = 0;
  // 1 / the number of target tokens of the whole optimizer step, over all micro-batches and tasks.
  double scale = 1;
  bool want_gradients = true;
};

struct LossOutput {
  // Sums over the tokens, unscaled.
  double cross_entropy = 0;
  double kl = 0;
  double smoothed_cross_entropy = 0;
  // Of scale * sum(alpha * T^2 * KL + (1 - alpha) * CE).
  at::Tensor hidden_gradient;         // like hidden
  at::Tensor output_weight_gradient;  // fp32
};

// Goes over the tokens in chunks whose logits stay in the cache: neither logits nor their gradient ever exist as a
// whole. alpha * T^2 * KL(teacher || student) + (1 - alpha) * CE: Hinton et al., 2015.
LossOutput DistillationLoss(const LossInput& input);

// Log-probabilities of the first `distribution_size` ids at `temperature`, in place where the types allow.
at::Tensor LogProbs(const at::Tensor& logits, std::int64_t distribution_size, double temperature);

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_LOSS_H_
