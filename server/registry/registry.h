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
#include "models/decoding/options.h"
#include "models/engine/replica_set.h"
#include "server/config/settings.h"

namespace petit::tokenizer {
class Tokenizer;
}

namespace petit::serving {

// A loaded version: everything that a request needs, immutable but for its replicas. The loader fills in all of it.
struct ServedModel {
  ModelSettings settings;
  std::int64_t version = 0;
  std::string digest;
  std::int64_t bytes_on_disk = 0;
  engine::ExecutorInfo info;
  decoding::SpecialTokens special;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  std::unique_ptr<engine::ReplicaSet> replicas;
};

// Pins a version: unloading waits until every handle is gone. May be dropped on any thread, the replicas' own
// workers among them (the last handle does not destroy the model; the thread that unloads it does). Must not outlive
// the registry.
using ModelHandle = std::shared_ptr<const ServedModel>;

enum class VersionState { kUnloaded, kLoading, kReady, kUnloading, kFailed };

struct VersionStatus {
  std::int64_t version = 0;
  VersionState state = VersionState::kUnloaded;
  std::string error;  // of the last failed load
  // Known while loaded:
  engine::ExecutorInfo info;
  int replicas = 0;
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
  decoding::DecodingOptions default_decoding;
  // What an operator should know of the model as a whole: it has no version, or the file with the served version is
  // damaged and was ignored. Usually empty.
  std::string warning;
};

// Reads a version from `checkpoint_directory`, builds its executors and replicas, and warms them up. Called on the
// thread of Load/SetServedVersion, several at a time for different models, never two for one model.
using ModelLoader = std::function<absl::StatusOr<std::unique_ptr<ServedModel>>(
    const ModelSettings& settings, std::int64_t version, const std::string& checkpoint_directory)>;

// Told after each change, in order, under no lock of the registry; changes of different models may be told at the same
// time, from their threads. May read the registry. Must not change it: Load, Unload and SetServedVersion answer
// FAILED_PRECONDITION there, for they would wait for themselves. Not told by the destructor.
using StatusListener = std::function<void(const ModelStatus&)>;

class Registry {
 public:
  // `listener` may be null.
  Registry(std::vector<ModelSettings> models, ModelLoader loader, StatusListener listener);
  // Unloads everything; waits for handles. Work that no handle stands for fails with UNAVAILABLE.
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // Loads what the configuration wants at start, one model after the other (so that the memory and the processors that
  // loading takes are one model's). A model that does not load is left FAILED, with its error in its status; the
  // others serve.
  void LoadConfigured();

  // The served version of a model (version 0), or a loaded one; never waits for a load. NOT_FOUND: no such model (the
  // message lists those there are) or version. UNAVAILABLE: loading, unloaded, failed or draining; the message says
  // which.
  absl::StatusOr<ModelHandle> Acquire(std::string_view model, std::int64_t version = 0) const;

  // The next three block until done, and are serialized per model; different models do not wait for each other. The
  // caller must hold no handle of the model. NOT_FOUND: as Acquire. UNAVAILABLE: draining (but for Unload). Otherwise
  // the loader's error; what was served goes on being served.

  // Loads a version (0: the configured one, the one last set by SetServedVersion, or the latest), and serves it if the
  // model serves none. Loading what is loaded does nothing.
  absl::StatusOr<ModelStatus> Load(std::string_view model, std::int64_t version);
  // Unloads a version, or all (0): refuses new handles, waits for those there are and for the replicas' work, then
  // destroys it on this thread.
  absl::StatusOr<ModelStatus> Unload(std::string_view model, std::int64_t version);
  // Loads the version if need be, writes it down to survive a restart (versions_root/SERVED_VERSION), switches, and
  // unloads the version served before as Unload does. FAILED_PRECONDITION: the configuration pins another
  // version. INVALID_ARGUMENT: version 0.
  absl::StatusOr<ModelStatus> SetServedVersion(std::string_view model, std::int64_t version);

  absl::StatusOr<ModelStatus> Get(std::string_view model) const;
  std::vector<ModelStatus> List() const;  // in the configuration's order

  // Refuses new handles and loads (UNAVAILABLE) and new work through old handles, then waits until the work of all
  // replicas is done or `deadline`; true if done. Does not wait for handles. Final.
  bool Drain(absl::Time deadline);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_REGISTRY_REGISTRY_H_
