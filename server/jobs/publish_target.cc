#include "server/jobs/publish_target.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace petit::serving {

std::string PlainModelName(const std::string& name) {
  absl::string_view plain = name;
  return absl::ConsumePrefix(&plain, "models/") && !plain.empty() ? std::string(plain) : name;
}

absl::StatusOr<ModelForJob> FindPublishTarget(const JobModels& models, const std::string& name) {
  absl::StatusOr<ModelForJob> model = models.Find(name);
  if (!model.ok()) return model;
  if (model->versions_root.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "model '", name, "' has a fixed checkpoint; name one whose configuration has version_policy { latest {} }"));
  }
  if (model->version_is_pinned) {
    return absl::FailedPreconditionError(absl::StrCat("model '", name,
                                                      "' is pinned to one version by version_policy { specific }; it "
                                                      "needs version_policy { latest {} }"));
  }
  return model;
}

}  // namespace petit::serving
