// Translations by a checkpoint on disk, through the executor and the batching that serve it.
#ifndef PETIT_MODELS_DISTILL_GENERATE_H_
#define PETIT_MODELS_DISTILL_GENERATE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/checkpoint/checkpoint.h"
#include "models/distill/batch.h"
#include "models/distill/settings.h"
#include "models/engine/replica.h"

namespace petit::distill {

struct GenerateOptions {
  std::string device = "cpu";
  TrainingPrecision precision = TrainingPrecision::kFp32;
  int beams = 1;
  int max_new_tokens = 128;
  int distribution_size = 0;
};

class Generator {
 public:
  static absl::StatusOr<Generator> Load(const checkpoint::Checkpoint& checkpoint, const GenerateOptions& options);

  // Generated ids of each source, without EOS, in order. CANCELLED where `stop` (may be null) answers true meanwhile.
  absl::StatusOr<std::vector<std::vector<TokenId>>> Run(const std::vector<std::vector<TokenId>>& sources,
                                                        const std::function<bool()>& stop);

 private:
  std::unique_ptr<engine::ReplicaLoop> loop_;
  GenerateOptions options_;
};

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_GENERATE_H_
