// The arms and names of a job's spec; internal to the folder.
#ifndef PETIT_SERVER_JOBS_SPEC_ARMS_H_
#define PETIT_SERVER_JOBS_SPEC_ARMS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "petit/v1/job.pb.h"
#include "server/jobs/spec_check.h"

namespace petit::serving {

inline constexpr Range kLearningRates = {.low = 0, .high = 10, .above_low = true};

// Complains about a name that is no fit for paths and labels.
void CheckName(absl::string_view field, const std::string& name, SpecCheck* check);

// Fills in alphas, learning rates (optimizer.learning_rate must be complete) and names: "alpha-0.5", and
// "alpha-0.5-lr-1e-05" where the arms' learning rates differ.
void CompleteArms(v1::JobSpec* spec, SpecCheck* check);

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_SPEC_ARMS_H_
