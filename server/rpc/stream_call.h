// One StreamTranslate call.
#ifndef PETIT_SERVER_RPC_STREAM_CALL_H_
#define PETIT_SERVER_RPC_STREAM_CALL_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "petit/v1/translation.pb.h"
#include "server/rpc/call_context.h"
#include "server/rpc/traffic.h"
#include "server/rpc/translate_request.h"

namespace petit::serving {

// Flow control. A text is *open* from its reading until its answer is written. The stream reads on only while fewer
// than max_stream_texts_in_flight texts are open, and while no text waits for room in the model's queue or among what
// its client may take: so a client that does not read its answers, a full queue, or a client's limit pauses this stream
// alone. The waiting text is tried again whenever
// one of the stream's own is done, and after a growing delay.
//
// Ends. The client's half-close, or a message that is wrong as a whole (framing, options, a model that is not there),
// stops the reading; what was read before is still answered, then the call ends with OK or that status. A text that is
// wrong by itself is answered with an error under its id. A draining server ends a stream that is idle, and stops
// reading the others when half of its time is over.
//
// Versions. Each text goes to the version that is served when it is read. The stream pins the last one it used, so that
// it goes on if the model is unloaded meanwhile, and lets go of it when it has been idle for a while.
class StreamCall final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                         public TickedStream,
                         public std::enable_shared_from_this<StreamCall> {
 public:
  using Reactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

  // An idle stream keeps its model loaded this long.
  static constexpr absl::Duration kPinIdle = absl::Seconds(10);
  // While the server drains, an idle stream is ended after this long.
  static constexpr absl::Duration kDrainIdle = absl::Milliseconds(500);

  // The reactor owns itself until gRPC and the replicas are done with it.
  static Reactor* Start(const Environment& environment, grpc::CallbackServerContext* context);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override { self_ = nullptr; }
  void Tick(absl::Time now, DrainPhase phase) override;

 private:
  using Plan = std::shared_ptr<const TranslationPlan>;
  struct Text {
    std::int64_t id = 0;
    Plan plan;
    PreparedText prepared;
    absl::Duration retry_delay;
    std::optional<Traffic::Texts> counted;
    bool requested = false;      // it has been counted as a request of the client's
    ClientLimiter::Texts share;  // of the client's texts in flight
  };

  StreamCall(const Environment& environment, grpc::CallbackServerContext* context)
      : context_("StreamTranslate", environment, context) {}

  // Reads one message. Errors end the stream. Only one read is under way at a time, so this runs on one thread.
  absl::Status TakeMessage() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<Plan> FindPlan(bool new_options) ABSL_LOCKS_EXCLUDED(mutex_);

  void Submit(const std::shared_ptr<Text>& text) ABSL_LOCKS_EXCLUDED(mutex_);
  // The text's part of what its client may take. RESOURCE_EXHAUSTED: not yet.
  absl::Status TakeShare(Text* text) const;
  // Tries again after this delay, or one that grows where none is known.
  void Wait(const std::shared_ptr<Text>& text, std::optional<absl::Duration> known_delay) ABSL_LOCKS_EXCLUDED(mutex_);
  // Submits the text that waits for room, if there is one.
  void Retry() ABSL_LOCKS_EXCLUDED(mutex_);
  void Respond(std::int64_t id, absl::StatusOr<v1::Translation> outcome) ABSL_LOCKS_EXCLUDED(mutex_);

  // Starts whatever may be started now: a write, a read, the end.
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::shared_ptr<StreamCall> self_;
  grpc::ByteBuffer incoming_;                    // the reading thread's
  std::optional<v1::TranslateOptions> options_;  // the reading thread's

  absl::Mutex mutex_;
  CallContext context_;
  Plan plan_ ABSL_GUARDED_BY(mutex_);
  int open_texts_ ABSL_GUARDED_BY(mutex_) = 0;
  std::shared_ptr<Text> waiting_ ABSL_GUARDED_BY(mutex_);  // for room in the model's queue
  bool retrying_ ABSL_GUARDED_BY(mutex_) = false;          // Retry is submitting what waited
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;           // StartRead is under way
  bool taking_ ABSL_GUARDED_BY(mutex_) = false;            // TakeMessage is
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<grpc::ByteBuffer> answers_ ABSL_GUARDED_BY(mutex_);
  grpc::ByteBuffer outgoing_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);  // set: nothing more is read
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time last_active_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_STREAM_CALL_H_
