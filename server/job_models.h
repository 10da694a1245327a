// The registry as jobs see it.
#ifndef PETIT_SERVER_JOB_MODELS_H_
#define PETIT_SERVER_JOB_MODELS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config/settings.h"
#include "server/jobs/job_models.h"
#include "server/registry/registry.h"

namespace petit::serving {

class RegistryJobModels final : public JobModels {
 public:
  // The registry, of these models, must outlive this.
  RegistryJobModels(Registry* registry, const std::vector<ModelSettings>& models);

  absl::StatusOr<ModelForJob> Find(const std::string& model) const override;
  absl::Status Serve(const std::string& model, std::int64_t version) override;

 private:
  Registry* const registry_;
  std::map<std::string, ModelSettings> settings_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_JOB_MODELS_H_
