// One Score call.
#ifndef PETIT_SERVER_RPC_SCORE_CALL_H_
#define PETIT_SERVER_RPC_SCORE_CALL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "petit/v1/translation.pb.h"
#include "server/rpc/byte_budget.h"
#include "server/rpc/call_context.h"
#include "server/rpc/translate_options.h"

namespace petit::serving {

// Each pair goes its own way, at most kPairsInFlight of a call at a time: with a reference model it first gets room for
// tokens * distribution_size floats from the server's budget, then the reference's log-probabilities, then the model's
// score against them; then the room goes back. Nobody blocks a thread, and nobody holds a replica while waiting. A full
// queue is waited out with a growing delay.
class ScoreCall final : public grpc::ServerUnaryReactor, public std::enable_shared_from_this<ScoreCall> {
 public:
  static constexpr int kPairsInFlight = 16;

  // The reactor owns itself until gRPC and the replicas are done with it.
  static grpc::ServerUnaryReactor* Start(const Environment& environment, grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request, grpc::ByteBuffer* response);

  void OnCancel() override;
  void OnDone() override { self_ = nullptr; }

 private:
  // A model and the prompt it wants.
  struct Scorer {
    ModelHandle model;
    std::string prompt;
  };

  // A pair in flight; touched by one thread at a time.
  struct Pair {
    int index = 0;
    std::vector<std::int32_t> source_ids;            // for the model
    std::vector<std::int32_t> reference_source_ids;  // for the reference: its prompt may differ
    std::vector<std::int32_t> target_ids;
    ByteBudget::Lease lease;
    std::shared_ptr<const std::vector<float>> reference_log_probs;
    absl::Duration retry_delay;
  };
  using PairPtr = std::shared_ptr<Pair>;
  using Done = void (ScoreCall::*)(const PairPtr& pair, absl::StatusOr<engine::ScoreResult> result);

  ScoreCall(const Environment& environment, grpc::CallbackServerContext* context, grpc::ByteBuffer* response)
      : context_("Score", environment, context), response_(response) {}

  // Errors end the call.
  absl::Status Begin(const grpc::ByteBuffer& bytes);
  absl::StatusOr<Scorer> FindScorer(const std::string& model);
  absl::Status CheckSameVocabulary() const;

  // Starts pairs until kPairsInFlight are under way; ends the call when none is left.
  void Pump() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<PairPtr> Prepare(int index) const;
  void StartPair(const PairPtr& pair);
  void AcquireBudget(const PairPtr& pair);
  void OnBudget(const PairPtr& pair, ByteBudget::Lease lease);
  void Submit(const PairPtr& pair, bool to_reference);
  void OnReference(const PairPtr& pair, absl::StatusOr<engine::ScoreResult> result);
  void OnModel(const PairPtr& pair, absl::StatusOr<engine::ScoreResult> result);
  void Complete(int index, const absl::StatusOr<v1::PairScore>& score) ABSL_LOCKS_EXCLUDED(mutex_);
  void End();

  bool has_reference() const { return reference_.model != nullptr; }
  // The same version twice: the divergence is zero by definition.
  bool same_model() const { return reference_.model == model_.model; }

  CallContext context_;
  grpc::ByteBuffer* response_;
  std::shared_ptr<ScoreCall> self_;
  v1::ScoreRequest request_;
  Scorer model_;
  Scorer reference_;
  ClientLimiter::Texts share_;

  absl::Mutex mutex_;
  int next_pair_ ABSL_GUARDED_BY(mutex_) = 0;
  int in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<absl::StatusOr<v1::PairScore>> results_ ABSL_GUARDED_BY(mutex_);
  std::vector<ByteBudget::Ticket> tickets_ ABSL_GUARDED_BY(mutex_);  // per pair; 0: it does not wait for the budget
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_SCORE_CALL_H_
