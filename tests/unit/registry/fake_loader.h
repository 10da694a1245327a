// A loader whose models run on the scripted executor, and that a test can hold or let fail.
#ifndef PETIT_TESTS_UNIT_REGISTRY_FAKE_LOADER_H_
#define PETIT_TESTS_UNIT_REGISTRY_FAKE_LOADER_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/engine/replica.h"
#include "server/registry/registry.h"

namespace petit::serving {

// Removed with all in it at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A door that a test opens once; whoever comes before waits.
class Door {
 public:
  void Open();
  void Pass();           // waits until it is open
  void AwaitSomebody();  // waits until somebody waits at it or has passed it
  bool IsOpen();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  bool visited_ = false;
};

// Thread-safe. Keyed by model and version.
class FakeLoader {
 public:
  using Key = std::pair<std::string, std::int64_t>;

  // Loads of this version wait at the door.
  void Hold(const Key& key, Door* door);
  // Steps of this version's executor wait at the door.
  void HoldSteps(const Key& key, Door* door);
  void Fail(const Key& key, absl::Status status);
  void Heal(const Key& key);

  int loads(const Key& key) const;
  // Executors that exist.
  int alive() const;

  ModelLoader loader();

 private:
  struct State;
  std::shared_ptr<State> state_ = MakeState();
  static std::shared_ptr<State> MakeState();
};

// A model with versions below `root`/`name`, and those versions on disk.
ModelSettings VersionedModel(const std::string& root, const std::string& name,
                             const std::vector<std::int64_t>& versions);
ModelSettings CheckpointModel(const std::string& root, const std::string& name);
void AddVersion(const ModelSettings& settings, std::int64_t version);
void RemoveVersion(const ModelSettings& settings, std::int64_t version);

// A sequence whose translation is its source (the scripted executor copies it).
engine::SequenceRequest CopyRequest(std::function<void(absl::StatusOr<engine::SequenceResult>)> done,
                                    int source_tokens = 3);

// Translates once through the registry, and waits for the result.
absl::Status TranslateOnce(const Registry& registry, const std::string& model, std::int64_t version = 0);

}  // namespace petit::serving

#endif  // PETIT_TESTS_UNIT_REGISTRY_FAKE_LOADER_H_
