// What jobs need to know of served models, and do to them. The server implements it over its registry; tests, in
// memory.
#ifndef PETIT_SERVER_JOBS_JOB_MODELS_H_
#define PETIT_SERVER_JOBS_JOB_MODELS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config/settings.h"

namespace petit::serving {

struct ModelForJob {
  // Directory of the version that is served now; empty where none is (publish_as may bring a model its first).
  std::string checkpoint;
  std::vector<Prompt> prompts;
  // models/.../VERSION/ for models with a version_policy: where publish_as puts students. Else empty.
  std::string versions_root;
  bool version_is_pinned = false;  // the configuration names the version: nothing can be switched to
};

class JobModels {
 public:
  virtual ~JobModels() = default;

  // NOT_FOUND: no such model (the message lists those there are).
  virtual absl::StatusOr<ModelForJob> Find(const std::string& model) const = 0;

  // Loads version `version`, which lies complete below versions_root, warms it up and switches to it. Blocks. On an
  // error what was served goes on being served.
  virtual absl::Status Serve(const std::string& model, std::int64_t version) = 0;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOBS_JOB_MODELS_H_
