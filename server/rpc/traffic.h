// Counts the work that the server has in flight and has taken on, over all models and calls.
#ifndef PETIT_SERVER_RPC_TRAFFIC_H_
#define PETIT_SERVER_RPC_TRAFFIC_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace petit::serving {

// Thread-safe. Outlives the calls.
class Traffic {
 public:
  struct Counts {
    std::int64_t texts_in_flight = 0;
    std::int64_t texts_accepted = 0;
    std::int64_t pairs_in_flight = 0;
    std::int64_t pairs_scored = 0;
  };

  // Some texts, from their replica's acceptance until they are answered. The thread that submitted them may learn of
  // the acceptance after another has the answer: whichever comes first accepts them, and both may.
  class Texts {
   public:
    Texts(Traffic* traffic, int count) : traffic_(*traffic), count_(count) {}
    // Takes texts that are still in flight out of it.
    ~Texts();
    Texts(const Texts&) = delete;
    Texts& operator=(const Texts&) = delete;

    void Accept();
    // Before the client can have the answer.
    void Answer();

   private:
    enum class State { kNew, kInFlight, kAnswered };

    void AcceptLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(traffic_.mutex_);
    void AnswerLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(traffic_.mutex_);

    Traffic& traffic_;
    const int count_;
    State state_ ABSL_GUARDED_BY(traffic_.mutex_) = State::kNew;
  };

  // The pairs of a Score call, from its checks to its answer; `scored` of them got a score.
  void BeginPairs(int pairs);
  void EndPairs(int pairs, int scored);

  // All of one moment.
  Counts Now() const;

 private:
  mutable absl::Mutex mutex_;
  Counts counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_TRAFFIC_H_
