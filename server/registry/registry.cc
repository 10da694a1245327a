#include "server/registry/registry.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/registry/model_entry.h"
#include "server/registry/version_store.h"

namespace petit::serving {
namespace {

// How deep this thread is in a loader or listener. From there an operation could wait for the one that called it, or
// for another thread that waits for this one.
thread_local int callback_depth = 0;

class InCallback {
 public:
  InCallback() { ++callback_depth; }
  InCallback(const InCallback&) = delete;
  InCallback& operator=(const InCallback&) = delete;
  ~InCallback() { --callback_depth; }
};

// Gives what a destroyed model held back to the system: glibc would keep gigabytes for the next model.
void ReturnFreedMemory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace

struct Registry::Impl {
  absl::StatusOr<ModelEntry*> Find(std::string_view model) const;
  void Tell(const ModelEntry& entry) const;

  // Called with entry->operation() held. Load serves what it loads if nothing is served.
  absl::Status LoadVersion(ModelEntry* entry, std::int64_t version);
  void UnloadVersions(ModelEntry* entry, const std::vector<std::int64_t>& versions);
  absl::Status Switch(ModelEntry* entry, std::int64_t version);

  // Runs `operation` on the model, after those before it, and returns the status then.
  absl::StatusOr<ModelStatus> Operate(std::string_view model, bool while_draining,
                                      const std::function<absl::Status(ModelEntry*)>& operation);

  std::vector<std::unique_ptr<ModelEntry>> entries;  // in the configuration's order
  std::map<std::string, ModelEntry*, std::less<>> by_name;
  ModelLoader loader;
  StatusListener listener;
  std::atomic<bool> draining = false;
};

absl::StatusOr<ModelEntry*> Registry::Impl::Find(std::string_view model) const {
  const auto found = by_name.find(model);
  if (found != by_name.end()) return found->second;
  const std::string names = absl::StrJoin(
      entries, ", ",
      [](std::string* out, const std::unique_ptr<ModelEntry>& entry) { absl::StrAppend(out, entry->settings().name); });
  return absl::NotFoundError(
      absl::StrCat("there is no model '", std::string(model), "'; the configured ones are: ", names));
}

void Registry::Impl::Tell(const ModelEntry& entry) const {
  if (listener == nullptr) return;
  const InCallback in_callback;
  listener(entry.Status());
}

absl::Status Registry::Impl::LoadVersion(ModelEntry* entry, std::int64_t version) {
  if (entry->IsReady(version)) return absl::OkStatus();
  if (!entry->HasVersion(version)) return entry->NoSuchVersion(version);
  entry->BeginLoading(version);
  Tell(*entry);
  absl::StatusOr<std::unique_ptr<ServedModel>> model = [&] {
    const InCallback in_callback;
    return loader(entry->settings(), version, entry->DirectoryOf(version));
  }();
  if (model.ok() && *model == nullptr) model = absl::InternalError("the loader returned no model");
  absl::Status status = model.status();
  if (!status.ok()) {
    ReturnFreedMemory();
    entry->FailLoading(version, std::string(status.message()));
  } else {
    entry->FinishLoading(version, *std::move(model));
  }
  Tell(*entry);
  return status;
}

void Registry::Impl::UnloadVersions(ModelEntry* entry, const std::vector<std::int64_t>& versions) {
  std::vector<std::unique_ptr<LoadedVersion>> unloading = entry->BeginUnloading(versions);
  Tell(*entry);
  for (std::unique_ptr<LoadedVersion>& loaded : unloading) {
    const std::int64_t version = loaded->model().version;
    loaded->WaitForHandles();
    // A handle may be dropped before the work it submitted is done.
    if (loaded->model().replicas != nullptr) loaded->model().replicas->Drain(absl::InfiniteFuture());
    loaded.reset();
    ReturnFreedMemory();
    entry->FinishUnloading(version);
    Tell(*entry);
  }
}

absl::Status Registry::Impl::Switch(ModelEntry* entry, std::int64_t version) {
  const ModelSettings& settings = entry->settings();
  if (version == 0) return absl::InvalidArgumentError("the version to serve is missing; name one, from 1");
  if (!entry->HasVersion(version) && !entry->IsReady(version)) return entry->NoSuchVersion(version);
  if (!entry->MayServe(version)) {
    return absl::FailedPreconditionError(
        absl::StrCat("model '", settings.name, "' is pinned to version ", *settings.specific_version,
                     " by version_policy { specific } of the configuration; version_policy { latest {} } lets versions "
                     "be set"));
  }
  const bool was_ready = entry->IsReady(version);
  if (absl::Status status = LoadVersion(entry, version); !status.ok()) return status;
  if (!settings.versions_root.empty() && !settings.specific_version.has_value()) {
    // Before the switch: one that a restart would undo must not look like a success.
    if (absl::Status status = WriteServedVersion(settings.versions_root, version); !status.ok()) {
      if (!was_ready && entry->served() != version) UnloadVersions(entry, {version});
      return status;
    }
  }
  const std::int64_t before = entry->served();
  entry->Serve(version);
  Tell(*entry);
  if (before != 0 && before != version) UnloadVersions(entry, {before});
  return absl::OkStatus();
}

absl::StatusOr<ModelStatus> Registry::Impl::Operate(std::string_view model, bool while_draining,
                                                    const std::function<absl::Status(ModelEntry*)>& operation) {
  const absl::StatusOr<ModelEntry*> entry = Find(model);
  if (!entry.ok()) return entry.status();
  if (callback_depth > 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "model '", std::string(model), "' cannot be loaded or unloaded from within a loader or status listener"));
  }
  const std::lock_guard<std::mutex> lock((*entry)->operation());
  if (draining && !while_draining) return absl::UnavailableError("the server is draining");
  if (absl::Status status = operation(*entry); !status.ok()) return status;
  return (*entry)->Status();
}

Registry::Registry(std::vector<ModelSettings> models, ModelLoader loader, StatusListener listener)
    : impl_(std::make_unique<Impl>()) {
  impl_->loader = std::move(loader);
  impl_->listener = std::move(listener);
  for (ModelSettings& settings : models) {
    std::string name = settings.name;
    impl_->entries.push_back(std::make_unique<ModelEntry>(std::move(settings)));
    impl_->by_name.emplace(std::move(name), impl_->entries.back().get());
  }
}

Registry::~Registry() {
  impl_->draining = true;
  std::vector<std::unique_ptr<LoadedVersion>> unloading;
  for (const std::unique_ptr<ModelEntry>& entry : impl_->entries) {
    const std::lock_guard<std::mutex> lock(entry->operation());
    for (auto& loaded : entry->BeginUnloading(entry->KnownVersions())) unloading.push_back(std::move(loaded));
  }
  for (const std::unique_ptr<LoadedVersion>& loaded : unloading) loaded->WaitForHandles();
}

void Registry::LoadConfigured() {
  for (const std::unique_ptr<ModelEntry>& entry : impl_->entries) {
    // What went wrong is in the model's status, and the listener was told.
    if (!entry->settings().load_later) Load(entry->settings().name, 0).IgnoreError();
  }
}

absl::StatusOr<ModelHandle> Registry::Acquire(std::string_view model, std::int64_t version) const {
  const absl::StatusOr<ModelEntry*> entry = impl_->Find(model);
  if (!entry.ok()) return entry.status();
  if (impl_->draining) return absl::UnavailableError("the server is draining; try another");
  return (*entry)->Acquire(version);
}

absl::StatusOr<ModelStatus> Registry::Load(std::string_view model, std::int64_t version) {
  return impl_->Operate(model, /*while_draining=*/false, [this, version](ModelEntry* entry) -> absl::Status {
    absl::StatusOr<std::int64_t> wanted = version;
    if (version == 0) wanted = entry->WantedVersion();
    if (!wanted.ok()) {
      impl_->Tell(*entry);
      return wanted.status();
    }
    if (absl::Status status = impl_->LoadVersion(entry, *wanted); !status.ok()) return status;
    if (entry->served() == 0 && entry->MayServe(*wanted)) {  // loaded earlier, and another one was unloaded since
      entry->Serve(*wanted);
      impl_->Tell(*entry);
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<ModelStatus> Registry::Unload(std::string_view model, std::int64_t version) {
  return impl_->Operate(model, /*while_draining=*/true, [this, version](ModelEntry* entry) -> absl::Status {
    const std::vector<std::int64_t> known = entry->KnownVersions();
    if (version == 0) {
      impl_->UnloadVersions(entry, known);
    } else if (std::find(known.begin(), known.end(), version) != known.end()) {
      impl_->UnloadVersions(entry, {version});
    } else if (!entry->HasVersion(version)) {
      return entry->NoSuchVersion(version);
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<ModelStatus> Registry::SetServedVersion(std::string_view model, std::int64_t version) {
  return impl_->Operate(model, /*while_draining=*/false,
                        [this, version](ModelEntry* entry) { return impl_->Switch(entry, version); });
}

absl::StatusOr<ModelStatus> Registry::Get(std::string_view model) const {
  const absl::StatusOr<ModelEntry*> entry = impl_->Find(model);
  if (!entry.ok()) return entry.status();
  return (*entry)->Status();
}

std::vector<ModelStatus> Registry::List() const {
  std::vector<ModelStatus> statuses;
  for (const std::unique_ptr<ModelEntry>& entry : impl_->entries) statuses.push_back(entry->Status());
  return statuses;
}

bool Registry::Drain(absl::Time deadline) {
  impl_->draining = true;
  std::vector<ModelHandle> pins;
  for (const std::unique_ptr<ModelEntry>& entry : impl_->entries) {
    for (ModelHandle& pin : entry->Pins()) pins.push_back(std::move(pin));
  }
  // All refuse new work before the first is waited for.
  for (const ModelHandle& pin : pins) {
    if (pin->replicas != nullptr) pin->replicas->Drain(absl::InfinitePast());
  }
  bool done = true;
  for (const ModelHandle& pin : pins) {
    if (pin->replicas != nullptr) done = pin->replicas->Drain(deadline) && done;
  }
  return done;
}

}  // namespace petit::serving
