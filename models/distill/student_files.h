// Students as checkpoints on disk.
#ifndef PETIT_MODELS_DISTILL_STUDENT_FILES_H_
#define PETIT_MODELS_DISTILL_STUDENT_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/checkpoint/checkpoint.h"
#include "models/distill/module.h"
#include "models/distill/settings.h"
#include "models/t5/config.h"

namespace petit::distill {

// How students begin, and what their files have besides weights.
struct StudentOrigin {
  t5::T5Config config;
  checkpoint::GenerationConfig generation;
  checkpoint::DType dtype = checkpoint::DType::kF32;  // of the files to write: as the origin's
  std::string tokenizer_directory;                    // spiece.model and, where there is one, tokenizer_config.json
};

// The configuration that the settings ask for. `teacher` is null without one; `initial` but for checkpoints.
StudentOrigin MakeOrigin(const Settings& settings, const checkpoint::Checkpoint* teacher,
                         const checkpoint::Checkpoint* initial);

// Sets the first weights.
void InitialiseStudent(const Settings& settings, const checkpoint::Checkpoint* teacher,
                       const checkpoint::Checkpoint* initial, T5Module* module);

// A Hugging Face checkpoint of the weights as they are; appears by rename. Replaces one that is there.
absl::Status WriteStudent(const std::string& directory, const StudentOrigin& origin, const T5Module& module);

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_STUDENT_FILES_H_
