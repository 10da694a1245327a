// A model's first translations, which are slower than all others and nobody's request.
#ifndef PETIT_SERVER_WARM_UP_H_
#define PETIT_SERVER_WARM_UP_H_

#include <atomic>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "models/engine/replica.h"
#include "server/registry/registry.h"

namespace petit::serving {

// Translates a short text in batches of several sizes through each of the model's replicas, and waits for it. The first
// error is returned: such a model could not serve.
absl::Status WarmUp(const ServedModel& model);

// Passes nothing on until Unmute.
class MutedObserver final : public engine::ReplicaObserver {
 public:
  explicit MutedObserver(std::shared_ptr<engine::ReplicaObserver> observer) : observer_(std::move(observer)) {}

  void Unmute() { muted_ = false; }

  void OnQueueLength(int sequences) override {
    if (!muted_) observer_->OnQueueLength(sequences);
  }
  void OnActive(int sequences) override {
    if (!muted_) observer_->OnActive(sequences);
  }
  void OnRejected(std::string_view reason) override {
    if (!muted_) observer_->OnRejected(reason);
  }
  void OnAdmitted(absl::Duration queued, int source_tokens) override {
    if (!muted_) observer_->OnAdmitted(queued, source_tokens);
  }
  void OnStep(absl::Duration took, int sequences, int rows) override {
    if (!muted_) observer_->OnStep(took, sequences, rows);
  }
  void OnHeld(int sequences) override {
    if (!muted_) observer_->OnHeld(sequences);
  }
  void OnFirstToken(absl::Duration since_submission) override {
    if (!muted_) observer_->OnFirstToken(since_submission);
  }
  void OnFinished(const absl::Status& status, int target_tokens) override {
    if (!muted_) observer_->OnFinished(status, target_tokens);
  }

 private:
  std::atomic<bool> muted_ = true;
  std::shared_ptr<engine::ReplicaObserver> observer_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_WARM_UP_H_
