// One WatchJob call.
#ifndef PETIT_SERVER_RPC_WATCH_CALL_H_
#define PETIT_SERVER_RPC_WATCH_CALL_H_

#include <deque>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "petit/v1/job.pb.h"
#include "server/jobs/job_api.h"
#include "server/rpc/call_context.h"

namespace petit::serving {

// Reads the job's events a chunk at a time, on the environment's pool of readers, and writes them one after the other:
// the next chunk is read when the client has taken the last one's events, and there is something new. So a client that
// does not read costs one chunk, and a call that waits costs no thread.
//
// Ends with OK after the last event of a job that has ended; with UNAVAILABLE as soon as the server drains (the client
// goes on elsewhere or later, from the last sequence number that it has seen).
class WatchCall final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                        public TickedStream,
                        public std::enable_shared_from_this<WatchCall> {
 public:
  using Reactor = grpc::ServerWriteReactor<grpc::ByteBuffer>;

  // Events read at a time.
  static constexpr int kChunk = 64;

  // The environment has jobs. The reactor owns itself until gRPC and the readers are done with it.
  static Reactor* Start(const Environment& environment, grpc::CallbackServerContext* context,
                        const grpc::ByteBuffer* request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void Tick(absl::Time now, DrainPhase phase) override;

 private:
  WatchCall(const Environment& environment, grpc::CallbackServerContext* context)
      : jobs_(environment.jobs), context_("WatchJob", environment, context) {}

  absl::Status TakeRequest(const grpc::ByteBuffer& request);

  // There may be new events.
  void Wake() ABSL_LOCKS_EXCLUDED(mutex_);
  // One chunk, on the readers' pool.
  void Read() ABSL_LOCKS_EXCLUDED(mutex_);
  void Subscribe();

  void End(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Starts whatever may be started now: a write, a read, the end.
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  JobApi* const jobs_;
  std::shared_ptr<WatchCall> self_;
  // The reader's: only one runs at a time, and none once the call has finished.
  v1::WatchJobRequest request_;  // after_sequence goes on with what was read
  std::optional<int> subscription_;

  absl::Mutex mutex_;
  CallContext context_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = true;     // there may be more than was read
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;  // Read is under way, or waits for a thread
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool read_all_ ABSL_GUARDED_BY(mutex_) = false;  // the job has ended, and its last event was read
  std::deque<grpc::ByteBuffer> events_ ABSL_GUARDED_BY(mutex_);
  grpc::ByteBuffer outgoing_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);  // set: nothing more is written
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_WATCH_CALL_H_
