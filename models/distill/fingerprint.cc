#include "models/distill/fingerprint.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "models/distill/functions.h"

namespace petit::distill {

std::string Fingerprint(const Settings& settings, const std::string& teacher_digest, const std::string& initial_digest,
                        const std::string& data_digest) {
  const StudentSettings& student = settings.student;
  const OptimizerSettings& optimizer = settings.optimizer;
  const LossSettings& loss = settings.loss;
  std::string text =
      absl::StrCat(teacher_digest, "|", initial_digest, "|", data_digest, "|", static_cast<int>(student.kind), ",",
                   student.encoder_layers, ",", student.decoder_layers, ",", student.d_model, ",", student.d_kv, ",");
  absl::StrAppend(&text, student.d_ff, ",", student.num_heads, "|");
  absl::StrAppendFormat(&text, "%a,%d,%a,%a|%d,%d,%d,%a,%a,%a,%a,%a|", loss.temperature,
                        static_cast<int>(loss.divergence), loss.hidden_state_weight, loss.label_smoothing,
                        static_cast<int>(optimizer.kind), static_cast<int>(optimizer.schedule), optimizer.warmup_steps,
                        optimizer.weight_decay, optimizer.beta1, optimizer.beta2, optimizer.epsilon,
                        optimizer.max_gradient_norm);
  absl::StrAppendFormat(&text, "%a,%d,%d,%d,%d,%d,%a,%u,%d,%d,%d,%d,%s|", settings.epochs, settings.steps,
                        settings.batch_size, settings.micro_batch_size, settings.max_source_tokens,
                        settings.max_target_tokens, settings.dropout.value_or(-1), settings.seed,
                        static_cast<int>(settings.precision), settings.eval_steps, settings.teacher_cache_top_k,
                        settings.halving ? 1 : 0, settings.device);
  for (const ArmSettings& arm : settings.arms) {
    absl::StrAppendFormat(&text, "%s,%a,%a|", arm.name, arm.alpha, arm.learning_rate);
  }
  for (const TextSet& set : settings.train) absl::StrAppendFormat(&text, "%a,%d|", set.share, set.replay ? 1 : 0);
  std::uint64_t low = 1;
  std::uint64_t high = 2;
  for (const char c : text) {
    low = MixBits(low, static_cast<unsigned char>(c));
    high = MixBits(high, static_cast<unsigned char>(c));
  }
  return absl::StrFormat("%016x%016x", low, high);
}

}  // namespace petit::distill
