// Targets that the teacher makes: sequence-level distillation (Kim and Rush, 2016).
#ifndef PETIT_MODELS_DISTILL_LABELS_H_
#define PETIT_MODELS_DISTILL_LABELS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "models/distill/batch.h"
#include "models/distill/generate.h"

namespace petit::distill {

// Generated ids of each source, in order. They are kept in `path`, a line per source, so that a restarted run goes on
// where it was and a later one with the same teacher and data need not begin. One run at a time writes there (flock):
// another takes what is there, and keeps what it makes to itself. `log` hears of the progress.
absl::StatusOr<std::vector<std::vector<TokenId>>> TeacherLabels(const std::vector<std::vector<TokenId>>& sources,
                                                                const std::string& path,
                                                                const std::function<absl::StatusOr<Generator>()>& load,
                                                                const std::function<bool()>& stop,
                                                                const std::function<void(const std::string&)>& log);

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_LABELS_H_
