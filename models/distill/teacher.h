// The teacher's side of a batch: no gradients, the inference kernels of models/torch.
#ifndef PETIT_MODELS_DISTILL_TEACHER_H_
#define PETIT_MODELS_DISTILL_TEACHER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "models/checkpoint/checkpoint.h"
#include "models/distill/batch.h"
#include "models/distill/loss.h"
#include "models/distill/settings.h"

namespace petit::distill {

struct TeacherOutputs {
  TeacherTargets targets;
  at::Tensor encoded;  // [source tokens, d_model], fp32, where asked for
};

class Teacher {
 public:
  // `distribution_size`: ids that a text can produce.
  static absl::StatusOr<std::unique_ptr<Teacher>> Load(const checkpoint::Checkpoint& checkpoint, at::Device device,
                                                       TrainingPrecision precision, std::int64_t distribution_size);
  ~Teacher();

  // Dense, or with top_k > 0 sparse. May throw LibTorch's exceptions.
  TeacherOutputs Run(const Batch& batch, double temperature, int top_k, bool want_encoded);

  int d_model() const;
  // Batches run so far.
  std::int64_t forwards() const;

 private:
  struct Impl;
  explicit Teacher(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_TEACHER_H_
