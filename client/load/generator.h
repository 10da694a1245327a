// Sends texts when they are due.
#ifndef PETIT_CLIENT_LOAD_GENERATOR_H_
#define PETIT_CLIENT_LOAD_GENERATOR_H_

#include <cstdint>
#include <functional>
#include <mutex>

#include "client/load/clock.h"
#include "client/load/corpus.h"
#include "client/load/plan.h"
#include "client/load/recorder.h"
#include "client/load/schedule.h"
#include "client/load/sender.h"

namespace petit::load {

// Works on the calling thread; the sender's threads only record outcomes. A text that is sent late, because the sender
// or the machine did not keep up, is sent as soon as can be, and its latency counts from when it was due. All that it
// is given outlives it.
class Generator {
 public:
  // `stopped`: no more is to be sent; whoever makes it true also calls clock.Wake().
  Generator(const Plan& plan, Corpus& corpus, Sender& sender, Clock& clock, Recorder& recorder,
            std::function<bool()> stopped);

  // Sends all of a phase. False: stopped before its end.
  bool Run(const Phase& phase);
  // Waits until every text has its outcome, stopped or not.
  void Drain();

 private:
  bool RunOpen(const Phase& phase, absl::Duration start);
  bool RunClosed(const Phase& phase, absl::Duration start);
  void Send(absl::Duration due);
  bool WaitUntil(absl::Duration moment);
  [[nodiscard]] std::int64_t InFlight() const;
  void WakeOnOutcome(bool wake);
  [[nodiscard]] bool IsComplete(const Phase& phase) const { return phase.requests && counted_ >= *phase.requests; }

  const Plan& plan_;
  Corpus& corpus_;
  Sender& sender_;
  Clock& clock_;
  Recorder& recorder_;
  const std::function<bool()> stopped_;
  Mix mix_;
  std::int64_t counted_ = 0;  // texts of the phase that count
  mutable std::mutex mutex_;
  std::int64_t in_flight_ = 0;
  bool wake_on_outcome_ = false;
};

}  // namespace petit::load

#endif  // PETIT_CLIENT_LOAD_GENERATOR_H_
