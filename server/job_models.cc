#include "server/job_models.h"

#include "server/registry/version_store.h"

namespace petit::serving {

RegistryJobModels::RegistryJobModels(Registry* registry, const std::vector<ModelSettings>& models)
    : registry_(registry) {
  for (const ModelSettings& model : models) settings_.emplace(model.name, model);
}

absl::StatusOr<ModelForJob> RegistryJobModels::Find(const std::string& model) const {
  const absl::StatusOr<ModelStatus> status = registry_->Get(model);
  if (!status.ok()) return status.status();
  const ModelSettings& settings = settings_.at(model);
  ModelForJob found;
  found.prompts = settings.prompts;
  found.versions_root = settings.versions_root;
  found.version_is_pinned = settings.specific_version.has_value();
  if (status->served_version != 0) {
    found.checkpoint = settings.versions_root.empty()
                           ? settings.checkpoint
                           : VersionDirectory(settings.versions_root, status->served_version);
  }
  return found;
}

absl::Status RegistryJobModels::Serve(const std::string& model, std::int64_t version) {
  return registry_->SetServedVersion(model, version).status();
}

}  // namespace petit::serving
