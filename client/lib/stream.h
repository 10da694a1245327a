// One TranslateStream: a window of texts over a bidirectional call that is opened again when it breaks.
#ifndef PETIT_CLIENT_LIB_STREAM_H_
#define PETIT_CLIENT_LIB_STREAM_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "client/lib/client.h"
#include "petit/v1/translation.grpc.pb.h"

namespace petit::client {

// What a session needs of its client.
struct StreamEnvironment {
  petit::v1::TranslationService::StubInterface* stub = nullptr;
  std::string server;
  RetryPolicy retry;
  absl::Duration timeout;                    // longest silence while texts are in flight
  std::atomic<bool>* was_reached = nullptr;  // whether the server has ever answered this client
};

// Two threads: the caller's runs the source, the pump's does the rest (opens calls, sends, receives, waits, delivers).
// gRPC's threads only raise flags. So no lock is held while the source, the sink or a gRPC operation runs, and the sink
// needs no lock of its own.
class StreamSession {
 public:
  StreamSession(StreamEnvironment environment, const TranslateOptions& options, const StreamOptions& stream,
                const ResultSink& sink, Cancellation* cancellation);
  ~StreamSession();

  absl::Status Run(const TextSource& source);

 private:
  class Call;

  struct Item {
    std::string text;
    int attempts = 0;
    bool sent = false;  // on the call that is open
    absl::Time first_sent_at = absl::InfiniteFuture();
    absl::Time send_after = absl::InfinitePast();
  };

  // The pump's steps. Each is called with the lock held and may give it up meanwhile; true: something was done.
  void Pump();
  bool OpenCall(std::unique_lock<std::mutex>& lock);
  bool Receive(std::unique_lock<std::mutex>& lock);
  bool Send(std::unique_lock<std::mutex>& lock);
  bool FinishWrites(std::unique_lock<std::mutex>& lock);
  bool CloseCall(std::unique_lock<std::mutex>& lock);
  bool CheckAbort();
  bool Deliver(std::unique_lock<std::mutex>& lock);
  void HandleResult(std::int64_t index, TextResult result);
  void Abort(absl::Status status);
  void CallEnded(const absl::Status& status);
  [[nodiscard]] absl::Time NextWakeUp() const;
  [[nodiscard]] std::size_t InFlight() const { return items_.size() - to_send_.size(); }
  [[nodiscard]] bool AllDelivered() const { return input_ended_ && items_.empty() && ready_.empty(); }

  const StreamEnvironment environment_;
  const petit::v1::TranslateOptions options_;
  const StreamOptions stream_;
  const ResultSink& sink_;
  Cancellation* const cancellation_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::int64_t, Item> items_;                     // taken from the source, without a result
  std::set<std::pair<absl::Time, std::int64_t>> to_send_;  // by Item::send_after
  std::map<std::int64_t, TextResult> ready_;               // results to be delivered
  std::int64_t next_index_ = 0;                            // of the next text
  std::int64_t next_to_deliver_ = 0;                       // ordered
  bool input_ended_ = false;
  bool cancelled_ = false;
  bool finished_ = false;
  absl::Status final_status_;
  std::optional<absl::Status> abort_;  // why the session is being given up
  std::unique_ptr<Call> call_;
  int failed_calls_ = 0;  // in a row, without a result between them
  absl::Time open_after_ = absl::InfinitePast();
  absl::Time last_progress_ = absl::InfinitePast();
};

}  // namespace petit::client

#endif  // PETIT_CLIENT_LIB_STREAM_H_
