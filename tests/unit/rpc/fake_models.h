// Served models without weights: a real tokenizer and replica around the scripted executor.
#ifndef PETIT_TESTS_UNIT_RPC_FAKE_MODELS_H_
#define PETIT_TESTS_UNIT_RPC_FAKE_MODELS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "models/tokenizer/tokenizer.h"
#include "server/config/settings.h"
#include "server/registry/registry.h"
#include "tests/unit/engine/scripted_executor.h"

namespace petit::serving {

std::shared_ptr<const tokenizer::Tokenizer> TinyTokenizer();

// Translates English to French with no prompt at all, and to German with "to german: "; served as version 1.
ModelSettings FakeSettings(const std::string& name);

struct FakeModelOptions {
  engine::Script script = {};  // null: the translation is the text itself
  std::function<absl::Status(const engine::Call&)> before = {};
  std::shared_ptr<engine::CallLog> log = {};
  std::shared_ptr<engine::ReplicaObserver> observer = {};
  int distribution_size = 0;  // 0: the tokenizer's size
};

std::unique_ptr<ServedModel> MakeFakeModel(const ModelSettings& settings, std::int64_t version,
                                           const FakeModelOptions& options = {});

// Emits this one id for ever.
engine::Script EndlessScript(engine::TokenId id);

// Lets tests wait for what a replica says.
class RecordingObserver final : public engine::ReplicaObserver {
 public:
  void OnQueueLength(int sequences) override;
  void OnAdmitted(absl::Duration queued, int source_tokens) override;
  void OnRejected(std::string_view reason) override;
  void OnFinished(const absl::Status& status, int target_tokens) override;

  // Waits until so many sequences have waited at the same time.
  void WaitForQueueLength(int length);
  void WaitForAdmitted(int count);
  void WaitForRejected(int count);
  // Waits until so many sequences have ended with that code.
  void WaitForFinished(absl::StatusCode code, int count);
  int admitted() const;

 private:
  mutable absl::Mutex mutex_;
  int longest_queue_ ABSL_GUARDED_BY(mutex_) = 0;
  int admitted_ ABSL_GUARDED_BY(mutex_) = 0;
  int rejected_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<absl::StatusCode, int> finished_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace petit::serving

#endif  // PETIT_TESTS_UNIT_RPC_FAKE_MODELS_H_
