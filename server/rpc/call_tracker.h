// Counts the calls in flight and knows the open streams, so that the server can drain.
#ifndef PETIT_SERVER_RPC_CALL_TRACKER_H_
#define PETIT_SERVER_RPC_CALL_TRACKER_H_

#include <atomic>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace petit::serving {

enum class DrainPhase {
  kNone,
  kPatient,  // streams may end by themselves
  kClosing,  // streams take nothing more, so that what they have taken is done in time
};

// A stream, as the server's clock sees it.
class TickedStream {
 public:
  virtual ~TickedStream() = default;
  // Called about every second, faster while draining. A stream then lets go of what it has not used for a while.
  virtual void Tick(absl::Time now, DrainPhase phase) = 0;
};

class CallTracker {
 public:
  // Every call holds one from its beginning to its end.
  class Ref {
   public:
    explicit Ref(CallTracker* tracker);
    ~Ref();
    Ref(const Ref&) = delete;
    Ref& operator=(const Ref&) = delete;

   private:
    CallTracker* tracker_;
  };

  // From then on calls that begin are to be refused, and from `closing` on streams take nothing more.
  void StartDraining(absl::Time closing);
  bool draining() const { return draining_; }

  // The drain's time is over: calls that end from then on were ended by the server.
  void StopWaiting() { waiting_ = false; }
  bool waiting() const { return waiting_; }

  // True if no call is left before the deadline.
  bool WaitForNone(absl::Time deadline);

  void AddStream(std::weak_ptr<TickedStream> stream);
  void TickStreams(absl::Time now);

 private:
  std::atomic<bool> draining_ = false;
  std::atomic<bool> waiting_ = true;
  absl::Mutex mutex_;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time closing_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  std::vector<std::weak_ptr<TickedStream>> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_CALL_TRACKER_H_
