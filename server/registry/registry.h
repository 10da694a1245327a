// The registry: which versions of which models are loaded, and which one a request gets. Knows no gRPC, no LibTorch
// and no Protobuf.
#ifndef PETIT_SERVER_REGISTRY_REGISTRY_H_
#define PETIT_SERVER_REGISTRY_REGISTRY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "models/engine/replica.h"
#include "server/config/settings.h"

namespace petit::tokenizer {
class Tokenizer;
}

namespace petit::serving {

// A loaded version: everything that a request needs, immutable but for its replica.
struct ServedModel {
  ModelSettings settings;
  std::int64_t version = 0;
  std::string digest;
  std::int64_t bytes_on_disk = 0;
  engine::ExecutorInfo info;
  decoding::SpecialTokens special;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  std::unique_ptr<engine::Replica> replica;
};

// Pins a version: unloading waits until every handle is gone. May be dropped on any thread, the replica's own
// worker among them (the last handle does not destroy the model; the thread that unloads it does).
using ModelHandle = std::shared_ptr<const ServedModel>;

enum class VersionState { kUnloaded, kLoading, kReady, kUnloading, kFailed };

struct VersionStatus {
  std::int64_t version = 0;
  VersionState state = VersionState::kUnloaded;
  std::string error;  // of the last failed load
  // Known while loaded:
  engine::ExecutorInfo info;
  std::string digest;
  std::int64_t bytes_on_disk = 0;
  absl::Time loaded_at = absl::InfinitePast();
};

struct ModelStatus {
  std::string name;
  VersionState state = VersionState::kUnloaded;
  std::int64_t served_version = 0;      // 0: none
  std::vector<VersionStatus> versions;  // on disk or in memory, ascending
  std::vector<Prompt> prompts;
};

// Reads a version from `checkpoint_directory`, builds its executor and replica, and warms it up. Called on the
// thread of Load/SetServedVersion, several at a time for different models, never two for one model.
using ModelLoader = std::function<absl::StatusOr<std::unique_ptr<ServedModel>>(
    const ModelSettings& settings, std::int64_t version, const std::string& checkpoint_directory)>;

// Told after each change, in order, under no lock of the registry.
using StatusListener = std::function<void(const ModelStatus&)>;

class Registry {
 public:
  Registry(std::vector<ModelSettings> models, ModelLoader loader, StatusListener listener);
  // Unloads everything; waits for handles.
  ~Registry();

  // Loads what the configuration wants at start. A model that does not load is left FAILED, with its error logged in
  // its status; the others serve.
  void LoadConfigured();

  // The served version of a model (version 0), or a loaded one. NOT_FOUND: no such model (the message lists those
  // there are) or version. UNAVAILABLE: loading, unloaded, failed or draining; the message says which.
  absl::StatusOr<ModelHandle> Acquire(std::string_view model, std::int64_t version = 0) const;

  // The next three block until done, and are serialized per model. Codes: see petit.v1.ModelService.
  absl::StatusOr<ModelStatus> Load(std::string_view model, std::int64_t version);
  absl::StatusOr<ModelStatus> Unload(std::string_view model, std::int64_t version);
  absl::StatusOr<ModelStatus> SetServedVersion(std::string_view model, std::int64_t version);

  absl::StatusOr<ModelStatus> Get(std::string_view model) const;
  std::vector<ModelStatus> List() const;  // in the configuration's order

  // Refuses new handles (UNAVAILABLE), then waits until the work of all replicas is done or `deadline`; true if done.
  bool Drain(absl::Time deadline);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_REGISTRY_REGISTRY_H_
