// What the registry knows of one model; internal to the folder.
#ifndef PETIT_SERVER_REGISTRY_MODEL_ENTRY_H_
#define PETIT_SERVER_REGISTRY_MODEL_ENTRY_H_

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/registry/registry.h"

namespace petit::serving {

// A loaded version and its pin. The pin is the one shared pointer that all handles are copies of; its deleter deletes
// nothing and only tells that the last copy is gone, so that a handle may be dropped on the replica's own worker.
class LoadedVersion {
 public:
  explicit LoadedVersion(std::unique_ptr<ServedModel> model);

  const ServedModel& model() const { return *model_; }
  // What handles are copied from. Null once Close was called.
  const ModelHandle& pin() const { return pin_; }

  // No new handles from here on.
  void Close() { pin_.reset(); }
  // Waits until all handles are gone. After Close, and under no lock.
  void WaitForHandles();

 private:
  // Outlives the version: the last handle may still be in the deleter when the waiter has gone on.
  struct Gate {
    std::mutex mutex;
    std::condition_variable opened;
    bool open ABSL_GUARDED_BY(mutex) = false;
  };

  std::unique_ptr<ServedModel> model_;
  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  ModelHandle pin_;
};

// A version that is loaded, on its way in or out, or failed. What is merely on disk has none.
struct VersionEntry {
  VersionStatus status;
  std::unique_ptr<LoadedVersion> loaded;  // kReady only: whoever unloads it takes it
  std::weak_ptr<const ServedModel> pin;   // kReady and kUnloading
};

class ModelEntry {
 public:
  explicit ModelEntry(ModelSettings settings) : settings_(std::move(settings)), due_(!settings_.load_later) {}

  const ModelSettings& settings() const { return settings_; }
  // Held through Load, Unload and SetServedVersion, so that they follow one another. Acquire does not need it.
  std::mutex& operation() { return operation_; }

  // 0: the served version. Errors as Registry::Acquire.
  absl::StatusOr<ModelHandle> Acquire(std::int64_t version) const;
  ModelStatus Status() const;
  // Those loaded now, on their way out among them.
  std::vector<ModelHandle> Pins() const;

  bool HasVersion(std::int64_t version) const;  // on disk
  std::string DirectoryOf(std::int64_t version) const;
  absl::Status NoSuchVersion(std::int64_t version) const;
  // The version that the configuration wants; notes a warning where SERVED_VERSION was ignored, or there is none.
  absl::StatusOr<std::int64_t> WantedVersion();
  // Whether the configuration lets `version` be the served one.
  bool MayServe(std::int64_t version) const;

  // Steps of the operations; each is one change, after which the listener is told.
  bool IsReady(std::int64_t version) const;
  std::int64_t served() const;
  void BeginLoading(std::int64_t version);
  void FinishLoading(std::int64_t version, std::unique_ptr<ServedModel> model);  // serves it if nothing is served
  void FailLoading(std::int64_t version, std::string error);
  void Serve(std::int64_t version);
  // Those of `versions` that are ready become kUnloading, without new handles, and the caller's; the failed are
  // forgotten.
  std::vector<std::unique_ptr<LoadedVersion>> BeginUnloading(const std::vector<std::int64_t>& versions);
  void FinishUnloading(std::int64_t version);
  std::vector<std::int64_t> KnownVersions() const;

 private:
  VersionState StateLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<std::int64_t> VersionsOnDisk() const;

  const ModelSettings settings_;
  std::mutex operation_;
  mutable std::mutex mutex_;
  std::map<std::int64_t, VersionEntry> versions_ ABSL_GUARDED_BY(mutex_);
  std::int64_t served_ ABSL_GUARDED_BY(mutex_) = 0;
  std::int64_t latest_ ABSL_GUARDED_BY(mutex_) = 0;  // last operated on: its state is the model's if none is served
  bool has_no_version_ ABSL_GUARDED_BY(mutex_) = false;
  bool due_ ABSL_GUARDED_BY(mutex_);  // start-up has not come to it yet
  std::string warning_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_REGISTRY_MODEL_ENTRY_H_
