#include "server/registry/model_entry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "server/registry/version_store.h"

namespace petit::serving {
namespace {

// A configured checkpoint has one version.
constexpr std::int64_t kCheckpointVersion = 1;

absl::Status Unready(const std::string& model, const std::string& version, VersionState state,
                     const std::string& error) {
  const std::string subject = absl::StrCat("model '", model, "'", version);
  switch (state) {
    case VersionState::kLoading:
      return absl::UnavailableError(absl::StrCat(subject, " is loading; try again"));
    case VersionState::kUnloading:
      return absl::UnavailableError(absl::StrCat(subject, " is being unloaded; LoadModel loads it again"));
    case VersionState::kFailed:
      return absl::UnavailableError(absl::StrCat(subject, " did not load: ", error));
    case VersionState::kReady:  // loaded, but another choice is to be made: only the model as a whole
    case VersionState::kUnloaded:
      break;
  }
  return absl::UnavailableError(absl::StrCat(subject, " is not loaded; LoadModel loads it"));
}

}  // namespace

LoadedVersion::LoadedVersion(std::unique_ptr<ServedModel> model)
    : model_(std::move(model)), pin_(model_.get(), [gate = gate_](const ServedModel*) {
        const std::lock_guard<std::mutex> lock(gate->mutex);
        gate->open = true;
        gate->opened.notify_all();
      }) {}

void LoadedVersion::WaitForHandles() {
  std::unique_lock<std::mutex> lock(gate_->mutex);
  while (!gate_->open) gate_->opened.wait(lock);
}

absl::StatusOr<ModelHandle> ModelEntry::Acquire(std::int64_t version) const {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto entry = versions_.find(version == 0 ? served_ : version);
    if (entry != versions_.end() && entry->second.loaded != nullptr) return entry->second.loaded->pin();
    if (version == 0) {
      if (due_) return absl::UnavailableError(absl::StrCat("model '", settings_.name, "' will be loaded; try again"));
      const auto latest = versions_.find(latest_);
      const bool has_error = latest != versions_.end() && !has_no_version_;
      return Unready(settings_.name, "", StateLocked(), has_error ? latest->second.status.error : warning_);
    }
    if (entry != versions_.end()) {
      const VersionStatus& status = entry->second.status;
      return Unready(settings_.name, absl::StrCat(" version ", version), status.state, status.error);
    }
  }
  if (!HasVersion(version)) return NoSuchVersion(version);
  return Unready(settings_.name, absl::StrCat(" version ", version), VersionState::kUnloaded, "");
}

VersionState ModelEntry::StateLocked() const {
  if (served_ != 0) return VersionState::kReady;
  if (has_no_version_) return VersionState::kFailed;
  const auto latest = versions_.find(latest_);
  // A loaded version that is not the served one answers only those who name it: the model as a whole does not serve.
  if (latest == versions_.end() || latest->second.loaded != nullptr) return VersionState::kUnloaded;
  return latest->second.status.state;
}

ModelStatus ModelEntry::Status() const {
  ModelStatus status;
  status.name = settings_.name;
  status.prompts = settings_.prompts;
  status.default_decoding = settings_.default_decoding;
  std::map<std::int64_t, VersionStatus> versions;
  for (const std::int64_t version : VersionsOnDisk()) versions[version].version = version;

  const std::lock_guard<std::mutex> lock(mutex_);
  status.state = StateLocked();
  status.served_version = served_;
  status.warning = warning_;
  for (const auto& [version, entry] : versions_) versions[version] = entry.status;
  for (auto& [version, out] : versions) status.versions.push_back(std::move(out));
  return status;
}

std::vector<ModelHandle> ModelEntry::Pins() const {
  std::vector<ModelHandle> pins;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [version, entry] : versions_) {
    if (ModelHandle pin = entry.pin.lock(); pin != nullptr) pins.push_back(std::move(pin));
  }
  return pins;
}

bool ModelEntry::HasVersion(std::int64_t version) const {
  return settings_.versions_root.empty() ? version == kCheckpointVersion : IsVersion(settings_.versions_root, version);
}

std::string ModelEntry::DirectoryOf(std::int64_t version) const {
  return settings_.versions_root.empty() ? settings_.checkpoint : VersionDirectory(settings_.versions_root, version);
}

std::vector<std::int64_t> ModelEntry::VersionsOnDisk() const {
  if (settings_.versions_root.empty()) return {kCheckpointVersion};
  return ListVersions(settings_.versions_root);
}

absl::Status ModelEntry::NoSuchVersion(std::int64_t version) const {
  const std::vector<std::int64_t> versions = VersionsOnDisk();
  return absl::NotFoundError(absl::StrCat("model '", settings_.name, "' has no version ", version, "; ",
                                          versions.empty() ? "it has none at all below " + settings_.versions_root
                                                           : "it has " + absl::StrJoin(versions, ", ")));
}

absl::StatusOr<std::int64_t> ModelEntry::WantedVersion() {
  std::int64_t wanted = kCheckpointVersion;
  std::string warning;
  bool none = false;
  if (settings_.specific_version.has_value()) {
    wanted = *settings_.specific_version;
    none = !HasVersion(wanted);
    if (none) warning = std::string(NoSuchVersion(wanted).message());
  } else if (!settings_.versions_root.empty()) {
    const std::vector<std::int64_t> versions = VersionsOnDisk();
    none = versions.empty();
    wanted = none ? 0 : versions.back();
    const absl::StatusOr<std::int64_t> chosen = ReadServedVersion(settings_.versions_root);
    if (none) {
      warning = absl::StrCat("model '", settings_.name, "' has no version below ", settings_.versions_root,
                             "; a version is a directory named by a positive number that holds config.json");
    } else if (chosen.ok() && HasVersion(*chosen)) {
      wanted = *chosen;
    } else if (chosen.ok()) {
      warning = absl::StrCat(settings_.versions_root, "/", kServedVersionFile, " names version ", *chosen,
                             ", which is gone; the latest, ", wanted, ", is used instead");
    } else if (!absl::IsNotFound(chosen.status())) {
      warning = absl::StrCat(chosen.status().message(), "; the latest version, ", wanted, ", is used instead");
    }
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  due_ = false;
  warning_ = warning;
  has_no_version_ = none && served_ == 0;
  if (none) return absl::NotFoundError(warning);
  return wanted;
}

bool ModelEntry::MayServe(std::int64_t version) const {
  return !settings_.specific_version.has_value() || *settings_.specific_version == version;
}

bool ModelEntry::IsReady(std::int64_t version) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto entry = versions_.find(version);
  return entry != versions_.end() && entry->second.loaded != nullptr;
}

std::int64_t ModelEntry::served() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return served_;
}

void ModelEntry::BeginLoading(std::int64_t version) {
  const std::lock_guard<std::mutex> lock(mutex_);
  VersionEntry& entry = versions_[version];
  entry.status = VersionStatus();
  entry.status.version = version;
  entry.status.state = VersionState::kLoading;
  due_ = false;
  latest_ = version;
  has_no_version_ = false;
}

void ModelEntry::FinishLoading(std::int64_t version, std::unique_ptr<ServedModel> model) {
  model->version = version;
  auto loaded = std::make_unique<LoadedVersion>(std::move(model));
  const std::lock_guard<std::mutex> lock(mutex_);
  VersionEntry& entry = versions_[version];
  entry.status.state = VersionState::kReady;
  entry.status.info = loaded->model().info;
  const auto& replicas = loaded->model().replicas;
  entry.status.replicas = replicas == nullptr ? 0 : static_cast<int>(replicas->size());
  entry.status.digest = loaded->model().digest;
  entry.status.bytes_on_disk = loaded->model().bytes_on_disk;
  entry.status.loaded_at = absl::Now();
  entry.pin = loaded->pin();
  entry.loaded = std::move(loaded);
  if (served_ == 0 && MayServe(version)) served_ = version;
}

void ModelEntry::FailLoading(std::int64_t version, std::string error) {
  const std::lock_guard<std::mutex> lock(mutex_);
  VersionStatus& status = versions_[version].status;
  status.state = VersionState::kFailed;
  status.error = std::move(error);
}

void ModelEntry::Serve(std::int64_t version) {
  const std::lock_guard<std::mutex> lock(mutex_);
  served_ = version;
  latest_ = version;
  warning_.clear();
}

std::vector<std::unique_ptr<LoadedVersion>> ModelEntry::BeginUnloading(const std::vector<std::int64_t>& versions) {
  std::vector<std::unique_ptr<LoadedVersion>> unloading;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const std::int64_t version : versions) {
    const auto entry = versions_.find(version);
    if (entry == versions_.end()) continue;
    if (entry->second.loaded == nullptr) {
      versions_.erase(entry);
      continue;
    }
    entry->second.status.state = VersionState::kUnloading;
    entry->second.loaded->Close();
    unloading.push_back(std::move(entry->second.loaded));
    if (served_ != version) continue;
    served_ = 0;
    latest_ = version;
  }
  return unloading;
}

void ModelEntry::FinishUnloading(std::int64_t version) {
  const std::lock_guard<std::mutex> lock(mutex_);
  versions_.erase(version);
}

std::vector<std::int64_t> ModelEntry::KnownVersions() const {
  std::vector<std::int64_t> versions;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [version, entry] : versions_) versions.push_back(version);
  return versions;
}

}  // namespace petit::serving
